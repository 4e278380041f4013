import { useQuery } from '@tanstack/react-query';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { LayoutTold } from '../../api/types';
import { Loaded } from '../../parts/ListState';
import { Meter } from '../../parts/Meter';
import { Section } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { SimpleTable } from '../../parts/SimpleTable';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { bytes, count } from '../../words/format';
import { LayoutChange, StageButton } from './LayoutChange';

/** While blocks are moved, how many are left is looked at. */
const LOOK_MS = 3_000;

/** Which Hosts keep blocks, and what is being moved between them. */
export function LayoutTab({ id }: { id: string }) {
  const query = useQuery({
    queryKey: keys.layout(id),
    queryFn: ({ signal }) =>
      ask(api.GET('/api/v1/resources/{id}/layout', { params: { path: { id } }, signal })),
    refetchInterval: ({ state }) => (state.data?.applied ? LOOK_MS : false),
  });
  return (
    <Loaded query={query} lines={8}>
      {(told) => (
        <>
          <LayoutChange id={id} told={told} />
          <Hosts id={id} told={told} />
        </>
      )}
    </Loaded>
  );
}

function Hosts({ id, told: { hosts, staged, applied } }: { id: string; told: LayoutTold }) {
  const may = useMay();
  const free = may('LayoutStage') && !staged && !applied;
  return (
    <Section
      flush
      title={words.resources.tabs.layout}
      beside={free && <StageButton id={id} label={words.layout.rebalance} rebalance />}
    >
      <SimpleTable
        label={words.resources.tabs.layout}
        titles={[
          words.layout.host,
          words.layout.place,
          words.layout.blocks,
          words.layout.used,
          words.common.actions,
        ]}
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
            free && host.place === 'kept' ? (
              <StageButton compact id={id} label={words.layout.drain} drain={[host.host]} />
            ) : (
              ''
            ),
          ],
        }))}
      />
    </Section>
  );
}
