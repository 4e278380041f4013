import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { SqlSessionView } from '../../api/types';
import { CommandDialog, type CommandAsk } from '../../parts/command/CommandDialog';
import { Empty } from '../../parts/Empty';
import { Icon } from '../../parts/Icon';
import { tableAfter } from '../../parts/ListState';
import { Section } from '../../parts/Page';
import { StateBadge } from '../../parts/StateBadge';
import { activityState } from '../../parts/state';
import { Ago } from '../../parts/Time';
import type { Column } from '../../parts/table/column';
import { DataTable } from '../../parts/table/DataTable';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { count } from '../../words/format';

const LOOK_MS = 5_000;
const ROWS_MAX = 500;

function columns(onKill: ((session: SqlSessionView) => void) | undefined): Column<SqlSessionView>[] {
  return [
    {
      key: 'person',
      title: words.calls.owner,
      width: 'minmax(7rem, 1fr)',
      head: true,
      render: ({ person }) => <span className="name">{person}</span>,
    },
    {
      key: 'database',
      title: words.data.database,
      width: 'minmax(7rem, 1fr)',
      render: ({ database_name }) => <span className="name">{database_name}</span>,
    },
    {
      key: 'state',
      title: words.common.state,
      width: 'minmax(9rem, 1.2fr)',
      render: ({ state }) => <StateBadge state={activityState(state)} />,
    },
    {
      key: 'application',
      title: words.calls.application,
      width: 'minmax(7rem, 1fr)',
      render: ({ application, door }) => <span className="name">{application ?? door}</span>,
    },
    {
      key: 'statements',
      title: words.data.statements,
      width: '7rem',
      end: true,
      render: ({ statements }) => count(statements),
    },
    {
      key: 'since',
      title: words.calls.since,
      width: 'minmax(6rem, 0.8fr)',
      end: true,
      render: ({ started }) => <Ago time={started} />,
    },
    {
      key: 'kill',
      title: words.common.actions,
      width: '7rem',
      end: true,
      render: (session) =>
        onKill && (
          <Button
            size="compact-xs"
            variant="default"
            leftSection={<Icon name="kill" size={12} />}
            onClick={() => onKill(session)}
          >
            {words.command.kill}
          </Button>
        ),
    },
  ];
}

/** Who is connected to which database now. */
export function Sessions() {
  const may = useMay();
  const [asked, setAsked] = useState<CommandAsk>();
  const query = useQuery({
    queryKey: keys.sqlSessions(),
    queryFn: ({ signal }) =>
      ask(api.GET('/api/v1/sql-sessions', { params: { query: { limit: ROWS_MAX } }, signal })),
    refetchInterval: LOOK_MS,
  });
  const rows = query.data?.sessions ?? [];
  const kill = ({ session, person }: SqlSessionView) =>
    setAsked({
      verb: 'kill',
      target: { kind: 'sql-session', id: session },
      name: person,
      text: words.data.killText(person),
    });
  return (
    <Section flush title={words.data.sessions}>
      <DataTable
        label={words.data.sessions}
        columns={columns(may('SqlSessionKill') ? kill : undefined)}
        count={rows.length}
        row={(index) => rows[index]}
        rowKey={({ session }) => session}
        after={tableAfter(query, rows.length, <Empty title={words.data.noSessions} />)}
      />
      <CommandDialog asked={asked} onClose={() => setAsked(undefined)} />
    </Section>
  );
}
