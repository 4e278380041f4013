import type { StatementResult } from '../../../api/types';

/** A value as the server writes it into CSV: NULL is empty, an empty text is not. */
function cell(value: string | null): string {
  if (value === null) return '';
  return value === '' || /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

/** The rows that are shown, as CSV. */
export function csvOf({ columns, rows }: Pick<StatementResult, 'columns' | 'rows'>): string {
  const head = columns.map(({ name }) => cell(name));
  return [head, ...rows.map((row) => row.map((value) => cell(value ?? null)))]
    .map((line) => `${line.join(',')}\r\n`)
    .join('');
}

/** Whether all rows can be had: those that are shown are all, or asking again changes nothing. */
export function canSave({
  columns,
  is_cut,
  tag,
}: Pick<StatementResult, 'columns' | 'is_cut' | 'tag'>): boolean {
  return columns.length > 0 && (!is_cut || tag === 'SELECT');
}
