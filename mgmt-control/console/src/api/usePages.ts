import { useInfiniteQuery, type QueryKey } from '@tanstack/react-query';
import { useCallback, useMemo } from 'react';

/** A listing that is read on by `after`, page by page. */
export interface CursorPage<Row> {
  items: Row[];
  next?: string | null;
}

export const PAGE_ROWS = 100;
/** Rows from the end at which the next page is asked for. */
const AHEAD_ROWS = 20;

/** The rows of a listing, as far as they were looked at; more are read as the end comes near. */
export function usePages<Row>(
  queryKey: QueryKey,
  read: (after: string | undefined, signal: AbortSignal) => Promise<CursorPage<Row>>,
) {
  const query = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) => read(pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
  });
  const { data, hasNextPage, isFetchingNextPage, fetchNextPage } = query;
  const rows = useMemo(() => data?.pages.flatMap((page) => page.items) ?? [], [data]);
  const onRange = useCallback(
    (_first: number, last: number) => {
      if (hasNextPage && !isFetchingNextPage && last >= rows.length - AHEAD_ROWS) void fetchNextPage();
    },
    [hasNextPage, isFetchingNextPage, fetchNextPage, rows.length],
  );
  return { query, rows, onRange, more: hasNextPage };
}
