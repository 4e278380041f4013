import { useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useRef, useState } from 'react';

import { keys } from '../../../api/keys';
import { asProblem } from '../../../api/problem';
import { forget, put } from './upload';

export interface Uploading {
  id: number;
  key: string;
  file: File;
  sent: number;
  state: 'waits' | 'runs' | 'done' | 'failed';
  problem?: string;
}

/** Files on their way into a bucket, one after the other; each can be given up, or gone on with. */
export function useUploads(bucket: string) {
  const [list, setList] = useState<Uploading[]>([]);
  const running = useRef<{ id: number; stop: AbortController }>(undefined);
  const ids = useRef(0);
  const client = useQueryClient();
  const change = useCallback((id: number, more: Partial<Uploading>) => {
    setList((old) => old.map((one) => (one.id === id ? { ...one, ...more } : one)));
  }, []);

  const run = useCallback(
    async ({ id, key, file }: Uploading) => {
      const stop = new AbortController();
      running.current = { id, stop };
      change(id, { state: 'runs' });
      try {
        await put({ bucket, key, file, onProgress: (sent) => change(id, { sent }), stopped: stop.signal });
        change(id, { state: 'done', sent: file.size });
        void client.invalidateQueries({ queryKey: keys.objects(bucket) });
        void client.invalidateQueries({ queryKey: keys.buckets() });
      } catch (thrown) {
        if (!stop.signal.aborted) change(id, { state: 'failed', problem: asProblem(thrown).message });
      } finally {
        running.current = undefined;
        // Whoever waits is looked for anew.
        setList((old) => [...old]);
      }
    },
    [bucket, change, client],
  );

  useEffect(() => {
    const next = list.find(({ state }) => state === 'waits');
    if (next && !running.current) void run(next);
  }, [list, run]);

  useEffect(() => () => running.current?.stop.abort(), []);

  const add = useCallback((files: { key: string; file: File }[]) => {
    const fresh = files.map(({ key, file }): Uploading => {
      ids.current += 1;
      return { id: ids.current, key, file, sent: 0, state: 'waits' };
    });
    setList((old) => [...old, ...fresh]);
  }, []);

  const remove = useCallback(
    ({ id, key, file, state }: Uploading) => {
      if (running.current?.id === id) running.current.stop.abort();
      setList((old) => old.filter((one) => one.id !== id));
      // Nothing waits for this: what is left over goes by itself after a while.
      if (state !== 'done') void forget(bucket, key, file).catch(() => undefined);
    },
    [bucket],
  );
  const again = useCallback((id: number) => change(id, { state: 'waits' }), [change]);
  return { list, add, remove, again };
}
