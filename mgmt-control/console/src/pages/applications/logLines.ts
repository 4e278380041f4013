import type { LogsRead } from '../../api/types';

export interface Line {
  /** Of which Host. */
  host: string;
  time: string;
  call: string;
  text: string;
  /** Older lines were dropped before this one. */
  gap: boolean;
}

export interface Read {
  lines: Line[];
  cursors: Record<string, number>;
}

/** Lines that are kept on the page; older ones go. */
export const LINES_MAX = 5_000;

/** Adds what was read to what is there, in the order of time. */
export function merge(read: Read, told: LogsRead): Read {
  const cursors = { ...read.cursors };
  const fresh: Line[] = [];
  for (const [host, answer] of Object.entries(told.hosts)) {
    cursors[host] = answer.cursor;
    answer.lines.forEach(({ time, call, text }, index) =>
      fresh.push({ host, time, call, text, gap: index === 0 && answer.gap === true }),
    );
  }
  if (fresh.length === 0) return { ...read, cursors };
  fresh.sort((a, b) => a.time.localeCompare(b.time));
  return { lines: [...read.lines, ...fresh].slice(-LINES_MAX), cursors };
}

/** Whether a line has what is searched for, whatever its case. */
export function matches(line: Line, search: string): boolean {
  const wanted = search.trim().toLocaleLowerCase();
  return wanted === '' || line.text.toLocaleLowerCase().includes(wanted) || line.call.startsWith(wanted);
}
