import { useEffect, type ReactNode } from 'react';

import { words } from '../words/en';
import css from './Page.module.css';

interface PageProps {
  title: ReactNode;
  /** What the tab of the browser says, where the title is more than text. */
  name?: string;
  beside?: ReactNode;
  actions?: ReactNode;
  /** The content takes the height that is left, and scrolls by itself. */
  fill?: boolean;
  children: ReactNode;
}

export function Page({ title, name, beside, actions, fill = false, children }: PageProps) {
  const said = name ?? (typeof title === 'string' ? title : words.product);
  useEffect(() => {
    document.title = `${said} · ${words.product}`;
  }, [said]);
  return (
    <div className={css.page} data-fill={fill || undefined}>
      <div className={css.head}>
        <h1 className="name">{title}</h1>
        {beside}
        {actions !== undefined && <div className={css.actions}>{actions}</div>}
      </div>
      {children}
    </div>
  );
}

interface SectionProps {
  title?: ReactNode;
  beside?: ReactNode;
  flush?: boolean;
  children: ReactNode;
}

/** A part of a page on its own ground. */
export function Section({ title, beside, flush = false, children }: SectionProps) {
  return (
    <section className={css.section}>
      {(title !== undefined || beside !== undefined) && (
        <div className={css.sectionHead}>
          {title !== undefined && <h2>{title}</h2>}
          {beside !== undefined && <div className={css.sectionBeside}>{beside}</div>}
        </div>
      )}
      <div className={flush ? css.flush : css.body}>{children}</div>
    </section>
  );
}

/** A row of fields above a list. */
export function Filters({ children, count }: { children: ReactNode; count?: ReactNode }) {
  return (
    <div className={css.filters}>
      {children}
      {count !== undefined && (
        <span className={css.count} role="status">
          {count}
        </span>
      )}
    </div>
  );
}
