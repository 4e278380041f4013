import type { AuditRow } from '../../api/types';

/** Whether any word of a row has what is searched for. */
export function matches(row: AuditRow, search: string): boolean {
  const wanted = search.trim().toLocaleLowerCase();
  if (wanted === '') return true;
  return [row.actor, row.action, row.target, row.result, row.detail ?? '', row.request_id ?? ''].some(
    (text) => text.toLocaleLowerCase().includes(wanted),
  );
}

/** A cell of CSV: quoted, and never taken for a formula by a spreadsheet. */
function cell(text: string): string {
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return `"${plain.replaceAll('"', '""')}"`;
}

export function csv(rows: AuditRow[]): string {
  const head = ['sequence', 'time', 'actor', 'action', 'target', 'result', 'request', 'detail'];
  const lines = rows.map((row) => [
    String(row.sequence),
    row.time,
    row.actor,
    row.action,
    row.target,
    row.result,
    row.request_id ?? '',
    row.detail ?? '',
  ]);
  return [head, ...lines].map((line) => line.map(cell).join(',')).join('\r\n') + '\r\n';
}
