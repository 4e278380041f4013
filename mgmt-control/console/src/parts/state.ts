// What a state means to whoever looks: one tone, one word.
import type { Condition, ResourceRow } from '../api/types';
import type { IconName } from './Icon';
import { words } from '../words/en';

export type Tone = 'ok' | 'warning' | 'critical' | 'unknown' | 'closed';

export interface StateWord {
  tone: Tone;
  /** Another sign than the tone's own. */
  sign?: IconName;
  word: string;
}

const CONDITION_TONES: Record<Condition, Tone> = {
  ok: 'ok',
  warning: 'warning',
  critical: 'critical',
  away: 'critical',
  draining: 'closed',
  closed: 'closed',
  unknown: 'unknown',
};

/** The tone of a condition, which the server tells of every Element and Host. */
export function conditionTone(condition: Condition): Tone {
  return CONDITION_TONES[condition];
}

type StateFacts = Pick<ResourceRow, 'condition' | 'desired' | 'pending' | 'connected'>;

/** The state of an Element or Host in a word: its condition, and a command that is on its way. */
export function resourceState({ condition = 'unknown', desired, pending, connected }: StateFacts): StateWord {
  const tone = conditionTone(condition);
  if (pending && connected && tone !== 'critical') {
    return { tone: 'warning', word: desired === 'closed' ? words.state.stopping : words.state.starting };
  }
  return { tone, word: words.state[condition] };
}

const DEPLOYMENT_TONES: Record<string, Tone> = {
  installedverified: 'ok',
  installednotverified: 'ok',
  installingmanually: 'warning',
  installingautomatically: 'warning',
  installable: 'warning',
  pendingremoval: 'closed',
  removing: 'closed',
  installationfailed: 'critical',
  installedbroken: 'critical',
};

/** GLUE's `AppEnvState` in words. */
export function deploymentState(state: string): StateWord {
  return { tone: DEPLOYMENT_TONES[state] ?? 'unknown', word: words.deployment[state] ?? state };
}

/** How a call, a transfer or a session stands or ended: BES states, with a part after the colon. */
export function activityState(state: string, exitCode?: number | null): StateWord {
  const [main = '', sub] = state.split(':');
  const word = sub === undefined || sub === '' ? main : `${main} (${sub.toLowerCase()})`;
  if (main === 'Failed') return { tone: 'critical', word };
  if (main === 'Terminated') return { tone: 'closed', word };
  if (main === 'Finished' && typeof exitCode === 'number' && exitCode !== 0) {
    return { tone: 'warning', word: words.calls.exitWord(exitCode) };
  }
  if (main === 'Finished') return { tone: 'ok', word };
  return { tone: main === 'Running' ? 'ok' : 'unknown', word };
}
