import { QueryClient } from '@tanstack/react-query';

import { asProblem } from './problem';

const RETRIES_MAX = 2;
/** What the live stream keeps fresh needs no second look; what it does not, is read again on a visit. */
const STALE_MS = 15_000;

export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: STALE_MS,
        retry: (failures, thrown) => failures < RETRIES_MAX && asProblem(thrown).retryable,
        retryDelay: (failures) => Math.min(500 * 2 ** failures, 5_000),
        networkMode: 'always',
      },
      mutations: { networkMode: 'always' },
    },
  });
}
