import { useLiveStatus } from '../live/LiveProvider';
import { Icon } from '../parts/Icon';
import { useNow } from '../parts/useNow';
import { words } from '../words/en';
import { ago } from '../words/format';
import css from './Shell.module.css';

/** Whether what is shown is what is. */
export function LiveBadge() {
  const { state, since } = useLiveStatus();
  const now = useNow();
  const word =
    state === 'live'
      ? words.shell.live
      : state === 'opening'
        ? words.shell.opening
        : words.shell.lost(ago(since ?? now, now));
  return (
    <span
      className={css.live}
      data-state={state}
      title={state === 'lost' ? words.shell.lostTitle : words.shell.liveTitle}
    >
      <Icon name={state === 'lost' ? 'warning' : 'live'} size={14} />
      <span>{word}</span>
      <span className="hidden-visually" role="status">
        {state === 'lost' ? words.shell.lostTitle : ''}
      </span>
    </span>
  );
}
