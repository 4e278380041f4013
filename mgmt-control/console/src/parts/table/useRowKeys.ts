import { useCallback, useState, type KeyboardEvent } from 'react';

interface Options {
  count: number;
  scrollTo: (index: number) => void;
  open: (index: number) => void;
}

const PAGE_ROWS = 10;

/** Where a key leads from a row; nothing if the key means nothing here. */
export function rowAfterKey(key: string, index: number, count: number): number | undefined {
  const last = count - 1;
  switch (key) {
    case 'ArrowDown':
      return Math.min(index + 1, last);
    case 'ArrowUp':
      return Math.max(index - 1, 0);
    case 'PageDown':
      return Math.min(index + PAGE_ROWS, last);
    case 'PageUp':
      return Math.max(index - PAGE_ROWS, 0);
    case 'Home':
      return 0;
    case 'End':
      return last;
    default:
      return undefined;
  }
}

/** One row at a time can be reached with Tab; the arrows lead to the others. */
export function useRowKeys({ count, scrollTo, open }: Options) {
  const [chosen, setChosen] = useState(0);
  const active = Math.min(chosen, Math.max(0, count - 1));
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const row = event.target as HTMLElement;
    if (row.getAttribute('role') !== 'row') return;
    if (event.key === 'Enter') {
      open(active);
      return;
    }
    const next = rowAfterKey(event.key, active, count);
    if (next === undefined) return;
    event.preventDefault();
    setChosen(next);
    scrollTo(next);
    const group = event.currentTarget;
    // The row may have to be drawn first.
    requestAnimationFrame(() => group.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus());
  };
  const onFocus = useCallback((index: number) => setChosen(index), []);
  return { active, onKeyDown, onFocus };
}
