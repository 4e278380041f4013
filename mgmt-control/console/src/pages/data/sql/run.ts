import { api, ask } from '../../../api/client';
import type { StatementRead, StatementResult } from '../../../api/types';

/** Runs a statement as the person who is signed in, with all rules that hold for them. */
export function runStatement(
  name: string,
  text: string,
  read: StatementRead,
  rows_max: number,
): Promise<StatementResult> {
  const params = { path: { name } };
  return ask(
    api.POST('/api/v1/console/databases/{name}/statements', { params, body: { text, read, rows_max } }),
  );
}

/** Runs it again, and gives all of its rows as CSV. */
export function runForCsv(name: string, text: string, read: StatementRead): Promise<string> {
  const params = { path: { name } };
  return ask(
    api.POST('/api/v1/console/databases/{name}/statements/csv', {
      params,
      body: { text, read },
      parseAs: 'text',
    }),
  );
}
