import type { ApplicationView } from '../../api/types';
import { StateBadge } from '../../parts/StateBadge';
import { deploymentState, type StateWord } from '../../parts/state';
import { words } from '../../words/en';

/** How far a version has come: the worst of its deployments, and how many are ready. */
export function spreadOf({ deployments, wish }: ApplicationView): StateWord {
  if (wish.desired === 'closed') return { tone: 'closed', word: words.command.wanted.closed };
  if (deployments.length === 0) return { tone: 'unknown', word: words.applications.nowhere };
  const states = deployments.map(({ state }) => deploymentState(state));
  const ready = states.filter(({ tone }) => tone === 'ok').length;
  const tone = states.some((one) => one.tone === 'critical')
    ? 'critical'
    : ready < states.length
      ? 'warning'
      : 'ok';
  return { tone, word: words.applications.ready(ready, states.length) };
}

export function Spread({ version }: { version: ApplicationView }) {
  return <StateBadge state={spreadOf(version)} />;
}
