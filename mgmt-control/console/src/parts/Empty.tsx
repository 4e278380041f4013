import type { ReactNode } from 'react';

import { Copyable } from './Copyable';
import css from './Notice.module.css';

interface Props {
  title: string;
  text?: string;
  /** The command that makes the first one. */
  command?: string;
  children?: ReactNode;
}

/** Nothing is there yet: what this is, and how to get one. */
export function Empty({ title, text, command, children }: Props) {
  return (
    <div className={css.empty}>
      <p className={css.title}>{title}</p>
      {text !== undefined && <p className="soft">{text}</p>}
      {command !== undefined && <Copyable text={command} />}
      {children}
    </div>
  );
}
