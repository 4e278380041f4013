import type { ResourceRow } from './types';

/** Notes when a resource was heard last: an age is true only at the moment it is told. */
export function heard(row: ResourceRow, now: number): ResourceRow {
  if (typeof row.age_seconds !== 'number') return row;
  return { ...row, heard_at: new Date(now - row.age_seconds * 1000).toISOString() };
}
