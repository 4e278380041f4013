import { useQuery } from '@tanstack/react-query';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { Loaded } from '../../parts/ListState';
import { Section } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { SimpleTable } from '../../parts/SimpleTable';
import { StateBadge } from '../../parts/StateBadge';
import { Ago } from '../../parts/Time';
import { words } from '../../words/en';
import { bytes, count, seconds } from '../../words/format';

/** What is lost on a Storage Element, and the certificates of what was made anew. */
export function HealsTab({ id }: { id: string }) {
  const query = useQuery({
    queryKey: keys.heals(id),
    queryFn: ({ signal }) =>
      ask(api.GET('/api/v1/resources/{id}/heals', { params: { path: { id } }, signal })),
  });
  return (
    <Loaded query={query}>
      {({ blocks_lost, heals }) => (
        <Section
          flush={heals.length > 0}
          title={words.resources.tabs.heals}
          beside={
            <StateBadge
              state={{ tone: blocks_lost === 0 ? 'ok' : 'critical', word: words.heals.lost(blocks_lost) }}
            />
          }
        >
          {heals.length === 0 ? (
            <p className="soft">{words.heals.none}</p>
          ) : (
            <SimpleTable
              label={words.resources.tabs.heals}
              titles={[
                words.heals.ended,
                words.heals.took,
                words.heals.hostsLost,
                words.heals.rebuilt,
                words.heals.readBack,
                words.heals.short,
                words.heals.certificate,
              ]}
              ends={[1, 3, 4, 5]}
              rows={heals.map(({ certificate: made }) => ({
                key: made.id,
                cells: [
                  <Ago time={made.ended} />,
                  seconds((Date.parse(made.ended) - Date.parse(made.began)) / 1000),
                  made.hosts_lost.map((host) => (
                    <span key={host}>
                      <ResourceName id={host} />{' '}
                    </span>
                  )),
                  `${count(made.blocks_rebuilt)} (${bytes(made.bytes)})`,
                  count(made.blocks_read_back),
                  count(made.blocks_short),
                  <code title={made.digest}>{made.id}</code>,
                ],
              }))}
            />
          )}
        </Section>
      )}
    </Loaded>
  );
}
