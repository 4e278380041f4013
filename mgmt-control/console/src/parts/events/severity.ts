import type { Severity } from '../../api/types';
import { words } from '../../words/en';
import type { StateWord, Tone } from '../state';

const TONES: Record<Severity, Tone> = { info: 'unknown', warning: 'warning', critical: 'critical' };

export function severityState(severity: Severity): StateWord {
  const word = words.severity[severity];
  return severity === 'info' ? { tone: TONES.info, sign: 'info', word } : { tone: TONES[severity], word };
}
