import { useQuery } from '@tanstack/react-query';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { Loaded } from '../../parts/ListState';
import { Meter } from '../../parts/Meter';
import { Section } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { SimpleTable } from '../../parts/SimpleTable';
import { words } from '../../words/en';
import { bytes, count } from '../../words/format';

/** Which Hosts keep blocks, and what is being moved between them. */
export function LayoutTab({ id }: { id: string }) {
  const query = useQuery({
    queryKey: keys.layout(id),
    queryFn: ({ signal }) =>
      ask(api.GET('/api/v1/resources/{id}/layout', { params: { path: { id } }, signal })),
  });
  return (
    <Loaded query={query} lines={8}>
      {({ hosts, applied, staged }) => (
        <Section
          flush
          title={words.resources.tabs.layout}
          beside={
            <span className="soft">
              {applied && words.layout.moving(applied.blocks_left, bytes(applied.bytes_left))}
              {applied?.waits}
              {staged && words.layout.staged}
            </span>
          }
        >
          <SimpleTable
            label={words.resources.tabs.layout}
            titles={[words.layout.host, words.layout.place, words.layout.blocks, words.layout.used]}
            ends={[2]}
            rows={hosts.map((host) => ({
              key: host.host,
              cells: [
                <ResourceName id={host.host} name={host.name} />,
                words.layout.places[host.place] ?? host.place,
                count(host.blocks),
                <Meter
                  used={host.used}
                  total={host.used + host.free}
                  label={words.resources.bytesOf(bytes(host.used), bytes(host.used + host.free))}
                />,
              ],
            }))}
          />
        </Section>
      )}
    </Loaded>
  );
}
