// Values of a query string: what is not of the expected form counts as absent.
import type { ResourceSort } from './api/resources';
import type { Condition, NodeKind } from './api/types';
import { words } from './words/en';

/** Keys of objects have up to 1024 bytes; nothing that is searched for is longer. */
const TEXT_MAX = 1024;

/** Query strings as everybody writes them: names and texts, nothing more. */
export function parseSearch(search: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(search));
}

export function stringifySearch(search: Record<string, unknown>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (typeof value === 'string' && value !== '') query.set(name, value);
    else if (value === true) query.set(name, 'true');
  }
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

export function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, TEXT_MAX) : undefined;
}

export function flag(value: unknown): boolean | undefined {
  return value === true || value === 'true' ? true : undefined;
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
