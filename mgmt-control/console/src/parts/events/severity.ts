import type { Severity } from '../../api/types';
import { words } from '../../words/en';
import type { StateWord, Tone } from '../state';

const TONES: Record<Severity, Tone> = { info: 'unknown', warning: 'warning', critical: 'critical' };

export function severityState(severity: Severity): StateWord {
  return { tone: TONES[severity], word: words.severity[severity] };
}
