import { words } from '../words/en';
import css from './Skeleton.module.css';

/** Grey lines of the size that what is being read will have, so that nothing jumps. */
export function Skeleton({ lines = 4, height = 20 }: { lines?: number; height?: number }) {
  return (
    <div className={css.block} role="status" aria-label={words.common.loading}>
      {Array.from({ length: lines }, (_, line) => (
        <span key={line} className={css.line} style={{ height, width: `${92 - ((line * 23) % 45)}%` }} />
      ))}
    </div>
  );
}

/** One grey piece in a row. */
export function Bone() {
  return <span className={css.bone} />;
}
