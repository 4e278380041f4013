import css from './Meter.module.css';

/** How much of something is in use: a bar, and the words beside it. */
export function Meter({ used, total, label }: { used: number; total: number; label: string }) {
  const part = total > 0 ? Math.min(1, Math.max(0, used / total)) : 0;
  return (
    <span className={css.meter}>
      <svg className={css.bar} viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect width="100" height="6" rx="2" className={css.ground} />
        <rect width={part * 100} height="6" rx="2" className={css.used} data-full={part > 0.9 || undefined} />
      </svg>
      <span className="number">{label}</span>
    </span>
  );
}
