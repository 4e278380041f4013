import type { ReactNode } from 'react';

import css from './Facts.module.css';

export interface Fact {
  label: string;
  value: ReactNode;
}

/** Names and values, side by side. */
export function Facts({ facts }: { facts: Fact[] }) {
  return (
    <dl className={css.facts}>
      {facts.map(({ label, value }) => (
        <div key={label} className={css.fact}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
