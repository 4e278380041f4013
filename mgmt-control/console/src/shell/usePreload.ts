import { useRouter } from '@tanstack/react-router';
import { useEffect } from 'react';

/** After what is looked at has come. */
const PAUSE_MS = 1_500;

interface Lazy {
  preload?: () => Promise<unknown>;
}

/** Fetches the parts of all pages once one stands: they are there then while the controller is away. */
export function usePreload(): void {
  const router = useRouter();
  useEffect(() => {
    const timer = setTimeout(() => {
      for (const route of Object.values(router.routesById)) {
        const page = route.options.component as Lazy | undefined;
        // One that does not come is fetched when it is wanted.
        void page?.preload?.();
      }
      void import('../pages/data/sql/SqlEditor').catch(() => undefined);
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [router]);
}
