// What the live stream tells, put into the query cache. Rows that are shown change in place; what a
// delta cannot place (a new row in a sorted list, a total) is read again, at most now and then, and
// only where it is on the screen.
import type { QueryClient, QueryKey } from '@tanstack/react-query';

import type { LiveCalls, LiveResources, ResourceRow, TopologyView } from '../api/types';
import { keys } from '../api/keys';
import { heard } from '../api/heard';
import { patchActivities, patchEnded, type Activities, type CallPages } from './calls';
import type { SseEvent } from './sse';
import { patchTopology } from './topology';

/** How often what a delta cannot place is read again at most. */
const REFRESH_MS = 3_000;

export interface RowsPage<Row> {
  items: Row[];
  total?: number | null;
}

/** Puts changed rows in place of those with the same id; the same page if none is there. */
export function patchPage<Row extends { id: string }, Page extends RowsPage<Row>>(
  page: Page,
  changed: ReadonlyMap<string, Row>,
): { page: Page; met: number } {
  let met = 0;
  const items = page.items.map((row) => {
    const next = changed.get(row.id);
    if (!next) return row;
    met += 1;
    return next;
  });
  return met === 0 ? { page, met } : { page: { ...page, items }, met };
}

export class Applier {
  private readonly waiting = new Map<string, QueryKey>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Whether a stream stood before, of which the next one may be the continuation. */
  private begun = false;

  constructor(private readonly client: QueryClient) {}

  on({ event, data }: SseEvent): void {
    switch (event) {
      case 'hello':
        // What was read before the stream stood may have missed something; a stream that goes on tells by
        // `reset` if it has.
        if (!this.begun) void this.client.invalidateQueries();
        this.begun = true;
        break;
      case 'reset':
        this.begun = true;
        void this.client.invalidateQueries();
        break;
      case 'overview':
        this.client.setQueryData(keys.overview(), JSON.parse(data) as unknown);
        break;
      case 'resources':
        this.resources(JSON.parse(data) as LiveResources);
        break;
      case 'calls':
        this.calls(JSON.parse(data) as LiveCalls);
        break;
      case 'applications':
        this.refreshLater(keys.applications());
        break;
      case 'events':
        this.refreshLater(keys.events());
        break;
    }
  }

  stop(): void {
    this.begun = false;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.waiting.clear();
  }

  private resources({ changed, gone }: LiveResources): void {
    const now = Date.now();
    const rows = new Map(changed.map((row) => [row.id, heard(row, now)]));
    let met = 0;
    const pages = this.client.getQueriesData<RowsPage<ResourceRow>>({ queryKey: keys.resourcePages() });
    for (const [key, page] of pages) {
      if (!page) continue;
      const patched = patchPage(page, rows);
      met += patched.met;
      if (patched.met > 0) this.client.setQueryData(key, patched.page);
    }
    if (gone.length > 0 || met < rows.size) this.refreshLater(keys.resourcePages());
    for (const row of changed)
      if (this.client.getQueryData(keys.resource(row.id))) this.refreshLater(keys.resource(row.id));
    const topology = this.client.getQueryData<TopologyView>(keys.topology());
    if (topology) {
      const patched = patchTopology(topology, changed);
      this.client.setQueryData(keys.topology(), patched.topology);
      if (gone.length > 0 || patched.strange) this.refreshLater(keys.topology());
    }
  }

  private calls(delta: LiveCalls): void {
    for (const [key, now] of this.client.getQueriesData<Activities>({ queryKey: keys.activities() })) {
      if (now) this.client.setQueryData(key, patchActivities(now, delta, applicationOf(key)));
    }
    if (delta.ended.length === 0) return;
    for (const [key, now] of this.client.getQueriesData<CallPages>({ queryKey: keys.callPages() })) {
      if (!now) continue;
      const patched = patchEnded(now, delta.ended, applicationOf(key));
      if (patched) this.client.setQueryData(key, patched);
      else this.refreshLater(key);
    }
  }

  private refreshLater(key: QueryKey): void {
    this.waiting.set(JSON.stringify(key), key);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      const due = [...this.waiting.values()];
      this.waiting.clear();
      for (const queryKey of due) void this.client.invalidateQueries({ queryKey });
    }, REFRESH_MS);
  }
}

/** Of which application a list of calls is: the last part of its key. */
function applicationOf(key: QueryKey): string | undefined {
  return key[key.length - 1] as string | undefined;
}
