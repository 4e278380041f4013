import { useEffect, useRef } from 'react';

import { words } from '../../../words/en';
import { openEditor, type Editor } from './editor';
import type { Tables } from './tables';
import css from './Sql.module.css';

interface Props {
  text: string;
  tables: Tables;
  onChange: (text: string) => void;
  onRun: () => void;
}

/** Where a statement is written. */
export default function SqlEditor({ text, tables, onChange, onRun }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor>(undefined);
  const told = useRef({ text, onChange, onRun });
  useEffect(() => {
    told.current = { text, onChange, onRun };
  });
  useEffect(() => {
    if (!place.current) return undefined;
    const opened = openEditor(place.current, {
      text: told.current.text,
      label: words.sql.statement,
      hint: words.sql.hint,
      onChange: (next) => told.current.onChange(next),
      onRun: () => told.current.onRun(),
    });
    editor.current = opened;
    return () => opened.destroy();
  }, []);
  useEffect(() => {
    editor.current?.schema(tables);
  }, [tables]);
  return <div ref={place} className={css.editor} />;
}
