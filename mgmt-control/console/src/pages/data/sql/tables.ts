import type { StatementResult } from '../../../api/types';

/** Columns by table, each as its name and its type. */
export type Tables = Record<string, string[]>;

export interface Column {
  name: string;
  type: string;
}

export type Schema = Record<string, Column[]>;

/** Tables and their columns, out of rows of `table, column, type`. */
export function schemaOf({ rows }: Pick<StatementResult, 'rows'>): Schema {
  const schema: Schema = {};
  for (const [table, name, type] of rows) {
    if (typeof table !== 'string' || typeof name !== 'string') continue;
    (schema[table] ??= []).push({ name, type: type ?? '' });
  }
  return schema;
}

export function tablesOf(schema: Schema): Tables {
  return Object.fromEntries(
    Object.entries(schema).map(([table, columns]) => [table, columns.map(({ name }) => name)]),
  );
}
