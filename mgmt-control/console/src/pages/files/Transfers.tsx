import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { TransferView } from '../../api/types';
import { CommandDialog, type CommandAsk } from '../../parts/command/CommandDialog';
import { Empty } from '../../parts/Empty';
import { Icon } from '../../parts/Icon';
import { tableAfter } from '../../parts/ListState';
import { Meter } from '../../parts/Meter';
import { Section } from '../../parts/Page';
import { Ago } from '../../parts/Time';
import type { Column } from '../../parts/table/column';
import { DataTable } from '../../parts/table/DataTable';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { bytes } from '../../words/format';

const LOOK_MS = 5_000;
const ROWS_MAX = 500;

function moved({ bytes: done, bytes_total: total }: TransferView) {
  if (typeof total !== 'number') return bytes(done);
  return <Meter used={done} total={total} label={words.resources.bytesOf(bytes(done), bytes(total))} />;
}

function columns(onKill: ((transfer: TransferView) => void) | undefined): Column<TransferView>[] {
  return [
    {
      key: 'key',
      title: words.files.key,
      width: 'minmax(10rem, 2fr)',
      head: true,
      render: (one) => <span className="name">{`${one.bucket_name}/${one.key ?? ''}`}</span>,
    },
    {
      key: 'direction',
      title: words.files.direction,
      width: '6rem',
      render: (one) => words.files.directions[one.direction] ?? one.direction,
    },
    {
      key: 'owner',
      title: words.calls.owner,
      width: 'minmax(6rem, 1fr)',
      render: (one) => <span className="name">{one.owner ?? '–'}</span>,
    },
    { key: 'moved', title: words.files.moved, width: 'minmax(12rem, 1.5fr)', render: moved },
    {
      key: 'since',
      title: words.calls.since,
      width: 'minmax(6rem, 0.8fr)',
      end: true,
      render: (one) => <Ago time={one.started} />,
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

/** What is read and written now. */
export function Transfers() {
  const may = useMay();
  const [asked, setAsked] = useState<CommandAsk>();
  const query = useQuery({
    queryKey: keys.transfers(),
    queryFn: ({ signal }) =>
      ask(api.GET('/api/v1/transfers', { params: { query: { limit: ROWS_MAX } }, signal })),
    refetchInterval: LOOK_MS,
  });
  const rows = query.data?.transfers ?? [];
  const kill = ({ transfer, bucket_name, key }: TransferView) =>
    setAsked({
      verb: 'kill',
      target: { kind: 'transfer', id: transfer },
      name: key ?? bucket_name,
      text: words.files.killText,
    });
  return (
    <Section flush title={words.files.transfers}>
      <DataTable
        label={words.files.transfers}
        columns={columns(may('TransferKill') ? kill : undefined)}
        count={rows.length}
        row={(index) => rows[index]}
        rowKey={({ transfer }) => transfer}
        after={tableAfter(query, rows.length, <Empty title={words.files.noTransfers} />)}
      />
      <CommandDialog asked={asked} onClose={() => setAsked(undefined)} />
    </Section>
  );
}
