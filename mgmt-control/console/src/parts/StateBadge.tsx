import type { StateWord } from './state';
import { Icon } from './Icon';
import css from './StateBadge.module.css';

/** A state: its sign, its word, its colour. */
export function StateBadge({ state, plain = false }: { state: StateWord; plain?: boolean }) {
  return (
    <span className={css.badge} data-tone={state.tone} data-plain={plain || undefined} title={state.word}>
      <Icon name={state.sign ?? state.tone} size={14} />
      <span className={css.word}>{state.word}</span>
    </span>
  );
}
