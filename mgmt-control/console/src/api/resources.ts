import { keepPreviousData, useQueries } from '@tanstack/react-query';
import { useCallback, useState } from 'react';

import { api, ask } from './client';
import { heard } from './heard';
import { keys } from './keys';
import type { paths } from './schema.gen';
import type { Condition, NodeKind, ResourceRow, ResourceView } from './types';

export type ResourceSort = NonNullable<
  NonNullable<paths['/api/v1/resources']['get']['parameters']['query']>['sort']
>;

/** What a list of resources is asked for; the server searches, filters and sorts. */
export interface ResourceQuery {
  search?: string;
  kind?: NodeKind;
  condition?: Condition;
  element?: string;
  sort?: ResourceSort;
  descending?: boolean;
}

export const RESOURCE_PAGE_ROWS = 100;

export async function readResource(id: string, signal?: AbortSignal): Promise<Resource> {
  const view = await ask(api.GET('/api/v1/resources/{id}', { params: { path: { id } }, signal }));
  return { ...view, row: heard(view.row, Date.now()) };
}

/** A resource, with the moment in which it was heard. */
export type Resource = ResourceView & { row: ResourceRow };

/** The pages in which rows `first` to `last` stand, and always the first one, which tells how many there are. */
export function pagesOf(first: number, last: number, rows: number): number[] {
  const pages = new Set([0]);
  for (let page = Math.floor(first / rows); page <= Math.floor(last / rows); page += 1) pages.add(page);
  return [...pages];
}

/** The resources that match, of which only those on the screen are read. */
export function useResourceRows(query: ResourceQuery) {
  const [range, setRange] = useState({ first: 0, last: 0 });
  const pages = pagesOf(range.first, range.last, RESOURCE_PAGE_ROWS);
  const results = useQueries({
    queries: pages.map((page) => {
      const wanted = { ...query, offset: page * RESOURCE_PAGE_ROWS, limit: RESOURCE_PAGE_ROWS };
      return {
        queryKey: keys.resourcePage(wanted),
        queryFn: async ({ signal }: { signal: AbortSignal }) => {
          const page = await ask(api.GET('/api/v1/resources', { params: { query: wanted }, signal }));
          const now = Date.now();
          return { ...page, items: page.items.map((row) => heard(row, now)) };
        },
        placeholderData: page === 0 ? keepPreviousData : undefined,
      };
    }),
  });
  const first = results[0];
  const onRange = useCallback((from: number, to: number) => {
    setRange((old) => (old.first === from && old.last === to ? old : { first: from, last: to }));
  }, []);
  const row = (index: number): ResourceRow | undefined => {
    const page = pages.indexOf(Math.floor(index / RESOURCE_PAGE_ROWS));
    return results[page]?.data?.items[index % RESOURCE_PAGE_ROWS];
  };
  return { first, total: first?.data?.total ?? first?.data?.items.length ?? 0, row, onRange };
}
