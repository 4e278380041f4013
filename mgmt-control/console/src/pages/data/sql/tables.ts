import type { StatementResult } from '../../../api/types';

/** Columns by table, for completion. */
export type Tables = Record<string, string[]>;

const NAMED = /\b(?:from|join|into|update|table(?:\s+if\s+(?:not\s+)?exists)?)\s+([a-z_][\w$]*)/gi;
/** More than anybody completes; what comes later is not learned. */
const TABLES_MAX = 500;

/**
 * What a statement that was run tells of tables: those that it names, and the columns of the only one
 * of a question. The server has no list of tables to ask for here, so the page learns as it is used.
 */
export function learn(
  known: Tables,
  statement: string,
  { columns, tag }: Pick<StatementResult, 'columns' | 'tag'>,
): Tables {
  const named = [...new Set([...statement.matchAll(NAMED)].map(([, table = '']) => table.toLowerCase()))];
  const next = { ...known };
  for (const table of named) if (Object.keys(next).length < TABLES_MAX) next[table] ??= [];
  const [only] = named;
  if (named.length === 1 && only !== undefined && tag === 'SELECT') {
    next[only] = [...new Set([...(next[only] ?? []), ...columns.map(({ name }) => name)])];
  }
  return next;
}
