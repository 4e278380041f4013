import { useQuery } from '@tanstack/react-query';
import { Navigate, useRouter } from '@tanstack/react-router';
import { useState } from 'react';

import { ProblemView } from '../parts/ProblemView';
import { Skeleton } from '../parts/Skeleton';
import { readSession } from '../session/actions';
import { useSessionState } from '../session/useSession';
import { Shell } from './Shell';
import css from './Guard.module.css';

/** Lets in who is signed in; sends others to sign in, and back here then. */
export function Guard() {
  const { view } = useSessionState();
  const first = useQuery({
    queryKey: ['session'],
    queryFn: async () => {
      await readSession();
      return true;
    },
    enabled: view === undefined,
    staleTime: Infinity,
  });
  if (view) return <Shell />;
  if (view === null) return <ToSignIn />;
  return (
    <main className={css.wait}>
      {first.isError ? (
        <ProblemView problem={first.error} retry={() => void first.refetch()} />
      ) : (
        <Skeleton />
      )}
    </main>
  );
}

/** Remembers where one was, once: the address changes while this is still shown. */
function ToSignIn() {
  const router = useRouter();
  const [search] = useState(() => {
    const { href } = router.state.location;
    return href === '/' ? {} : { next: href };
  });
  return <Navigate to="/sign-in" search={search} replace />;
}
