import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { readResource } from '../api/resources';
import { keys } from '../api/keys';

const LONG_MS = 5 * 60_000;

/** A Host or Element by its name, where only its id is told; names change rarely, so they are kept. */
export function ResourceName({ id, name }: { id: string; name?: string | undefined }) {
  const known = useQuery({
    queryKey: keys.resourceName(id),
    queryFn: async ({ signal }) => (await readResource(id, signal)).row.name,
    enabled: name === undefined,
    staleTime: LONG_MS,
    retry: false,
  });
  return (
    <Link to="/resources/$id" params={{ id }} className="name">
      {name ?? known.data ?? `${id.slice(0, 13)}…`}
    </Link>
  );
}
