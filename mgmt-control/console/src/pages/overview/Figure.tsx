import type { ReactNode } from 'react';

import css from './Overview.module.css';

/** One number that matters, with its unit, and what it is. */
export function Figure({
  label,
  value,
  tone,
  children,
}: {
  label: string;
  value: string;
  tone?: 'warning' | undefined;
  children?: ReactNode;
}) {
  return (
    <div className={css.figure}>
      <span className="soft">{label}</span>
      <span className={css.value} data-tone={tone}>
        {value}
      </span>
      {children}
    </div>
  );
}
