// Values of a query string: what is not of the expected form counts as absent.
import type { ResourceSort } from './api/resources';
import type { Condition, NodeKind } from './api/types';
import { words } from './words/en';

/** Keys of objects have up to 1024 bytes; nothing that is searched for is longer. */
const TEXT_MAX = 1024;

/** The query string is read as JSON where it can be, so a search for `7` comes as a number. */
export function text(value: unknown): string | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' && value !== '' ? value.slice(0, TEXT_MAX) : undefined;
}

export function flag(value: unknown): boolean | undefined {
  return value === true ? true : undefined;
}

export function kind(value: unknown): NodeKind | undefined {
  return typeof value === 'string' && Object.hasOwn(words.kind, value) ? (value as NodeKind) : undefined;
}

export function condition(value: unknown): Condition | undefined {
  return typeof value === 'string' && Object.hasOwn(CONDITIONS, value) ? (value as Condition) : undefined;
}

export const CONDITIONS: Record<Condition, string> = {
  ok: words.state.ok,
  warning: words.state.warning,
  critical: words.state.critical,
  away: words.state.away,
  draining: words.state.draining,
  closed: words.state.closed,
  unknown: words.state.unknown,
};

const SORTS: ResourceSort[] = ['name', 'kind', 'domain', 'element', 'condition', 'age_seconds'];

export function resourceSort(value: unknown): ResourceSort | undefined {
  return SORTS.find((sort) => sort === value);
}
