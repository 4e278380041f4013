import { Link } from '@tanstack/react-router';

import type { ResourceRow } from '../../api/types';
import { Meter } from '../../parts/Meter';
import { ResourceName } from '../../parts/ResourceName';
import { StateBadge } from '../../parts/StateBadge';
import { resourceState } from '../../parts/state';
import { Ago } from '../../parts/Time';
import type { Column } from '../../parts/table/column';
import { words } from '../../words/en';
import { bytes } from '../../words/format';

function use(row: ResourceRow) {
  if (typeof row.total_slots === 'number' && typeof row.free_slots === 'number') {
    const used = row.total_slots - row.free_slots;
    return (
      <Meter used={used} total={row.total_slots} label={words.resources.slotsOf(used, row.total_slots)} />
    );
  }
  if (typeof row.total_bytes === 'number' && typeof row.free_bytes === 'number') {
    const used = Math.max(0, row.total_bytes - row.free_bytes);
    return (
      <Meter
        used={used}
        total={row.total_bytes}
        label={words.resources.bytesOf(bytes(used), bytes(row.total_bytes))}
      />
    );
  }
  return <span className="soft">–</span>;
}

function lastHeard({ connected, heard_at }: ResourceRow) {
  if (connected) return <span className="soft">{words.resources.connected}</span>;
  return heard_at === undefined ? words.resources.never : <Ago time={heard_at} />;
}

export const RESOURCE_COLUMNS: Column<ResourceRow>[] = [
  {
    key: 'name',
    title: words.common.name,
    width: 'minmax(9rem, 2fr)',
    sort: 'name',
    head: true,
    render: (row) => (
      <Link to="/resources/$id" params={{ id: row.id }} className="name" title={row.name}>
        {row.name}
      </Link>
    ),
  },
  {
    key: 'state',
    title: words.common.state,
    width: 'minmax(9rem, 1.6fr)',
    sort: 'condition',
    render: (row) => <StateBadge state={resourceState(row)} />,
  },
  {
    key: 'kind',
    title: words.common.kind,
    width: 'minmax(10.5rem, 1.2fr)',
    sort: 'kind',
    render: (row) => words.kind[row.kind],
  },
  {
    key: 'element',
    title: words.resources.element,
    width: 'minmax(6rem, 1fr)',
    sort: 'element',
    render: (row) => (row.element ? <ResourceName id={row.element} /> : <span className="soft">–</span>),
  },
  {
    key: 'domain',
    title: words.common.domain,
    width: 'minmax(5rem, 1fr)',
    sort: 'domain',
    render: (row) => <span className="name">{row.domain}</span>,
  },
  { key: 'use', title: words.resources.use, width: 'minmax(14rem, 1.8fr)', render: use },
  {
    key: 'heard',
    sort: 'age_seconds',
    title: words.resources.heard,
    width: 'minmax(6rem, 0.8fr)',
    end: true,
    render: lastHeard,
  },
];
