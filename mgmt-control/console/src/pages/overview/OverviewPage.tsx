import { useQuery } from '@tanstack/react-query';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { History } from '../../parts/chart/History';
import { EventList } from '../../parts/events/EventList';
import { Loaded } from '../../parts/ListState';
import { Page, Section } from '../../parts/Page';
import { words } from '../../words/en';
import { CallFigures } from './CallFigures';
import { Capacity } from './Capacity';
import { Domains } from './Domains';
import { Kinds } from './Kinds';
import { Needs } from './Needs';
import css from './Overview.module.css';

/** Is everything well? */
export function OverviewPage() {
  const query = useQuery({
    queryKey: keys.overview(),
    queryFn: ({ signal }) => ask(api.GET('/api/v1/overview', { signal })),
  });
  return (
    <Page title={words.pages.overview}>
      <Loaded query={query} lines={16}>
        {(overview) => (
          <div className={css.grid}>
            <div className={css.wide}>
              <Needs overview={overview} />
            </div>
            <Section title={words.overview.elements}>
              <Kinds kinds={overview.kinds} />
            </Section>
            <Section title={words.overview.calls}>
              <CallFigures calls={overview.calls} />
            </Section>
            <div className={css.wide}>
              <Capacity overview={overview} />
            </div>
            <div className={css.wide}>
              <History
                title={words.overview.history}
                queryKey={keys.overviewHistory}
                read={(span, signal) =>
                  ask(api.GET('/api/v1/overview/history', { params: { query: { span } }, signal }))
                }
              />
            </div>
            {overview.domains.length > 1 && (
              <div className={css.wide}>
                <Domains domains={overview.domains} />
              </div>
            )}
            <div className={css.wide}>
              <Section title={words.overview.events}>
                <EventList events={overview.events} />
              </Section>
            </div>
          </div>
        )}
      </Loaded>
    </Page>
  );
}
