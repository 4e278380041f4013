import { useQueryClient } from '@tanstack/react-query';
import { createContext, useContext, useEffect, useMemo, useSyncExternalStore, type ReactNode } from 'react';

import { Applier } from './apply';
import { LiveConnection, type LiveStatus } from './connection';

const Live = createContext<LiveConnection | null>(null);

/** Keeps one stream open for each session (told apart by its proof), and what it tells in the query cache. */
export function LiveProvider({ session, children }: { session: string | undefined; children: ReactNode }) {
  const client = useQueryClient();
  const { applier, connection } = useMemo(() => {
    const applier = new Applier(client);
    return { applier, connection: new LiveConnection((event) => applier.on(event)) };
  }, [client]);
  useEffect(() => {
    if (session === undefined) return undefined;
    connection.start();
    return () => {
      connection.stop();
      applier.stop();
    };
  }, [session, connection, applier]);
  return <Live value={connection}>{children}</Live>;
}

export function useLiveStatus(): LiveStatus {
  const connection = useContext(Live);
  if (!connection) throw new Error('There is no live stream outside its provider.');
  return useSyncExternalStore(connection.subscribe, connection.get);
}
