import type { Activity, CallRecord, LiveCalls } from '../api/types';

export interface Activities {
  activities: Activity[];
  silent: string[];
}

/** Rows of ended calls that are kept above those that were read; with more, the list is read anew. */
const ENDED_MAX = 500;

/** What runs and waits, after a delta; only one application's, if the list is of one. */
export function patchActivities(
  now: Activities,
  { whole, changed, gone }: LiveCalls,
  application: string | undefined,
): Activities {
  const news = new Map(
    changed
      .filter((one) => application === undefined || one.application === application)
      .map((one) => [one.id, one]),
  );
  if (whole) return { ...now, activities: [...news.values()] };
  const left = new Set(gone);
  const kept = now.activities.flatMap((one) => {
    const next = news.get(one.id);
    news.delete(one.id);
    return left.has(one.id) ? [] : [next ?? one];
  });
  return { ...now, activities: [...kept, ...news.values()] };
}

export interface CallPages {
  pages: { items: CallRecord[] }[];
  pageParams: unknown[];
}

const keyOf = ({ call, ended }: CallRecord) => `${call} ${ended}`;

/** Ended calls, with new ones on top; nothing if they are so many that the list has to be read anew. */
export function patchEnded(
  now: CallPages,
  ended: CallRecord[],
  application: string | undefined,
): CallPages | undefined {
  const [first, ...rest] = now.pages;
  if (!first) return now;
  const known = new Set(first.items.map(keyOf));
  const fresh = ended
    .filter((one) => (application === undefined || one.application === application) && !known.has(keyOf(one)))
    .sort((a, b) => b.ended.localeCompare(a.ended));
  if (fresh.length === 0) return now;
  if (fresh.length + first.items.length > ENDED_MAX) return undefined;
  return { ...now, pages: [{ ...first, items: [...fresh, ...first.items] }, ...rest] };
}
