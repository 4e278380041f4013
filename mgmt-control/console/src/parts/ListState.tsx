import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';

import { ProblemView } from './ProblemView';
import { Skeleton } from './Skeleton';
import css from './ListState.module.css';

type Query<T> = Pick<UseQueryResult<T>, 'data' | 'error' | 'isPending' | 'refetch'>;

/** What is read, once it is there; before that its outline, instead of it what went wrong. */
export function Loaded<T>({
  query,
  lines = 4,
  children,
}: {
  query: Query<T>;
  lines?: number;
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) return children(query.data);
  if (query.error) return <ProblemView problem={query.error} retry={() => void query.refetch()} />;
  return <Skeleton lines={lines} />;
}

/** What stands below the rows of a table: a problem, or that there is nothing. */
export function tableAfter(query: Query<unknown>, count: number, empty: ReactNode): ReactNode {
  if (query.error && count === 0) {
    return (
      <div className={css.pad}>
        <ProblemView problem={query.error} retry={() => void query.refetch()} />
      </div>
    );
  }
  if (query.isPending) {
    return (
      <div className={css.pad}>
        <Skeleton lines={8} />
      </div>
    );
  }
  return count === 0 ? empty : null;
}
