import { Button } from '@mantine/core';
import { useRef, useState } from 'react';

import { words } from '../words/en';
import { Icon } from './Icon';
import css from './Copyable.module.css';

/** A command or a secret to take away; on a page without TLS the clipboard is closed, and marking must do. */
export function Copyable({ text, label }: { text: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  const code = useRef<HTMLElement>(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      if (code.current) getSelection()?.selectAllChildren(code.current);
    }
  };
  return (
    <div className={css.row}>
      <code ref={code} className={css.code} aria-label={label}>
        {text}
      </code>
      <Button
        size="xs"
        variant="default"
        leftSection={<Icon name={copied ? 'ok' : 'copy'} size={14} />}
        onClick={() => void copy()}
      >
        {copied ? words.common.copied : words.common.copy}
      </Button>
    </div>
  );
}
