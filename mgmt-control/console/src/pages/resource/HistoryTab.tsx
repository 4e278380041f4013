import { Button } from '@mantine/core';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { EventView } from '../../api/types';
import { usePages } from '../../api/usePages';
import { History } from '../../parts/chart/History';
import { EventList } from '../../parts/events/EventList';
import { Loaded } from '../../parts/ListState';
import { Section } from '../../parts/Page';
import { words } from '../../words/en';

const ROWS = 50;

/** How its numbers went, and what happened to it. */
export function HistoryTab({ id }: { id: string }) {
  const { query, rows, more } = usePages<EventView>(keys.events(id), (after, signal) =>
    ask(api.GET('/api/v1/events', { params: { query: { subject: id, after, limit: ROWS } }, signal })),
  );
  return (
    <>
      <History
        title={words.overview.history}
        queryKey={(span) => keys.resourceHistory(id, span)}
        read={(span, signal) =>
          ask(
            api.GET('/api/v1/resources/{id}/history', { params: { path: { id }, query: { span } }, signal }),
          )
        }
      />
      <Section title={words.overview.eventsOf}>
        <Loaded query={query}>{() => <EventList events={rows} />}</Loaded>
        {more && (
          <div>
            <Button
              variant="default"
              loading={query.isFetchingNextPage}
              onClick={() => void query.fetchNextPage()}
            >
              {words.common.more}
            </Button>
          </div>
        )}
      </Section>
    </>
  );
}
