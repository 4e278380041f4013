import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { Activity } from '../../api/types';
import { CommandDialog, type CommandAsk } from '../../parts/command/CommandDialog';
import { Empty } from '../../parts/Empty';
import { Icon } from '../../parts/Icon';
import { tableAfter } from '../../parts/ListState';
import { Section } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { StateBadge } from '../../parts/StateBadge';
import { activityState } from '../../parts/state';
import type { Column } from '../../parts/table/column';
import { DataTable } from '../../parts/table/DataTable';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { listed, plural, seconds } from '../../words/format';

const ROWS_MAX = 1_000;

function columns(onKill: ((activity: Activity) => void) | undefined): Column<Activity>[] {
  return [
    {
      key: 'application',
      title: words.calls.application,
      width: 'minmax(8rem, 1.5fr)',
      head: true,
      render: (one) => <span className="name">{one.application}</span>,
    },
    {
      key: 'state',
      title: words.common.state,
      width: 'minmax(9rem, 1.2fr)',
      render: (one) => <StateBadge state={activityState(one.state)} />,
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
      width: 'minmax(8rem, 1.2fr)',
      render: (one) => {
        if (one.host) return <ResourceName id={one.host} />;
        return (
          <span className="soft">
            {typeof one.position === 'number' ? words.calls.queue(one.position) : '–'}
          </span>
        );
      },
    },
    {
      key: 'since',
      title: words.calls.since,
      width: 'minmax(5rem, 0.7fr)',
      end: true,
      render: (one) => seconds(one.age_ms / 1000),
    },
    {
      key: 'kill',
      title: words.common.actions,
      width: '7rem',
      end: true,
      render: (one) =>
        onKill && (
          <Button
            size="compact-xs"
            variant="default"
            leftSection={<Icon name="kill" size={12} />}
            onClick={() => onKill(one)}
          >
            {words.command.kill}
          </Button>
        ),
    },
  ];
}

/** What runs and waits now. */
export function RunningCalls({ application }: { application: string | undefined }) {
  const may = useMay();
  const [asked, setAsked] = useState<CommandAsk>();
  const query = useQuery({
    queryKey: keys.activitiesOf(application),
    queryFn: ({ signal }) =>
      ask(api.GET('/api/v1/activities', { params: { query: { application, limit: ROWS_MAX } }, signal })),
  });
  const rows = query.data?.activities ?? [];
  const kill = (one: Activity) =>
    setAsked(
      one.job
        ? {
            verb: 'kill',
            target: { kind: 'job', id: one.job },
            name: one.application,
            text: words.calls.killMapText,
          }
        : {
            verb: 'kill',
            target: { kind: 'call', id: one.id },
            name: one.application,
            text: words.calls.killText,
          },
    );
  return (
    <Section
      flush
      title={words.calls.now}
      beside={query.data && <span className="soft">{plural(rows.length, 'row')}</span>}
    >
      <DataTable
        label={words.calls.now}
        columns={columns(may('CallKill') ? kill : undefined)}
        count={rows.length}
        row={(index) => rows[index]}
        rowKey={({ id }) => id}
        after={tableAfter(
          query,
          rows.length,
          <Empty
            title={words.calls.emptyNow}
            text={words.calls.emptyNowText}
            command={`gridmart call ${application ?? 'APPLICATION'} --input -`}
          />,
        )}
      />
      {query.data && query.data.silent.length > 0 && (
        <p className="soft">{words.common.silent(listed(query.data.silent))}</p>
      )}
      <CommandDialog asked={asked} onClose={() => setAsked(undefined)} />
    </Section>
  );
}
