import { Link, useNavigate } from '@tanstack/react-router';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { CallRecord } from '../../api/types';
import { PAGE_ROWS, usePages } from '../../api/usePages';
import { Empty } from '../../parts/Empty';
import { tableAfter } from '../../parts/ListState';
import { Section } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { StateBadge } from '../../parts/StateBadge';
import { activityState } from '../../parts/state';
import { Ago } from '../../parts/Time';
import type { Column } from '../../parts/table/column';
import { DataTable } from '../../parts/table/DataTable';
import { words } from '../../words/en';
import { bytes, seconds } from '../../words/format';

const COLUMNS: Column<CallRecord>[] = [
  {
    key: 'application',
    title: words.calls.application,
    width: 'minmax(9rem, 1.6fr)',
    head: true,
    render: (one) => (
      <Link to="/calls/$id" params={{ id: one.call }} className="name">
        {one.application} {one.version}
      </Link>
    ),
  },
  {
    key: 'state',
    title: words.common.state,
    width: 'minmax(8rem, 1.2fr)',
    render: (one) => <StateBadge state={activityState(one.end.state, one.end.exit_code)} />,
  },
  {
    key: 'owner',
    title: words.calls.owner,
    width: 'minmax(6rem, 1fr)',
    render: (one) => <span className="name">{one.owner}</span>,
  },
  {
    key: 'host',
    title: words.calls.host,
    width: 'minmax(7rem, 1fr)',
    render: (one) => <ResourceName id={one.host} />,
  },
  {
    key: 'wall',
    title: words.calls.wall,
    width: 'minmax(5rem, 0.6fr)',
    end: true,
    render: (one) => seconds(one.end.wall_us / 1e6),
  },
  {
    key: 'cpu',
    title: words.calls.cpu,
    width: 'minmax(5rem, 0.6fr)',
    end: true,
    render: (one) => seconds(one.end.cpu_us / 1e6),
  },
  {
    key: 'memory',
    title: words.calls.memory,
    width: 'minmax(5rem, 0.6fr)',
    end: true,
    render: (one) => bytes(one.end.max_resident_bytes),
  },
  {
    key: 'ended',
    title: words.calls.endedAt,
    width: 'minmax(6rem, 0.8fr)',
    end: true,
    render: (one) => <Ago time={one.ended} />,
  },
];

/** Calls that have ended, newest first. */
export function EndedCalls({ application }: { application: string | undefined }) {
  const navigate = useNavigate();
  const { query, rows, onRange } = usePages<CallRecord>(keys.callPagesOf(application), (after, signal) =>
    ask(api.GET('/api/v1/calls', { params: { query: { application, after, limit: PAGE_ROWS } }, signal })),
  );
  return (
    <Section flush title={words.calls.ended}>
      <DataTable
        label={words.calls.ended}
        columns={COLUMNS}
        count={rows.length}
        row={(index) => rows[index]}
        rowKey={(one) => `${one.call}-${one.ended}`}
        onOpen={(one) => void navigate({ to: '/calls/$id', params: { id: one.call } })}
        onRange={onRange}
        after={tableAfter(query, rows.length, <Empty title={words.calls.emptyEnded} />)}
      />
    </Section>
  );
}
