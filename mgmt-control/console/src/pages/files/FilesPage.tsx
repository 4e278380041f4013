import { Button, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { BucketView } from '../../api/types';
import { Empty } from '../../parts/Empty';
import { FormDialog } from '../../parts/FormDialog';
import { Icon } from '../../parts/Icon';
import { tableAfter } from '../../parts/ListState';
import { Page } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { StateBadge } from '../../parts/StateBadge';
import type { StateWord } from '../../parts/state';
import type { Column } from '../../parts/table/column';
import { DataTable } from '../../parts/table/DataTable';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { bytes, count, listed } from '../../words/format';
import { Transfers } from './Transfers';

/** Whether all objects have as many blocks as they should. */
export function bucketState({ area: { state } }: BucketView): StateWord {
  if (!state) return { tone: 'unknown', word: words.state.unknown };
  const short = state.number_of_short_files ?? 0;
  return short === 0
    ? { tone: 'ok', word: words.files.whole }
    : { tone: 'warning', word: words.files.shortText(short) };
}

const COLUMNS: Column<BucketView>[] = [
  {
    key: 'name',
    title: words.common.name,
    width: 'minmax(9rem, 1.6fr)',
    head: true,
    render: ({ area, element }) => (
      <Link to="/files/$bucket" params={{ bucket: area.name }} search={{ element }} className="name">
        {area.name}
      </Link>
    ),
  },
  {
    key: 'state',
    title: words.common.state,
    width: 'minmax(8rem, 1fr)',
    render: (view) => <StateBadge state={bucketState(view)} />,
  },
  {
    key: 'redundancy',
    title: words.files.redundancy,
    width: 'minmax(6rem, 0.8fr)',
    render: ({ area }) => <code>{area.info.redundancy}</code>,
  },
  {
    key: 'owner',
    title: words.files.owner,
    width: 'minmax(6rem, 1fr)',
    render: ({ owner }) => <span className="name">{owner}</span>,
  },
  {
    key: 'element',
    title: words.files.element,
    width: 'minmax(6rem, 1fr)',
    render: ({ element, element_name }) => <ResourceName id={element} name={element_name} />,
  },
  {
    key: 'objects',
    title: words.files.objects,
    width: '6rem',
    end: true,
    render: ({ area }) => (area.state ? count(area.state.number_of_files) : '–'),
  },
  {
    key: 'used',
    title: words.files.used,
    width: '6rem',
    end: true,
    render: ({ area }) => (area.state ? bytes(area.state.used_online_size) : '–'),
  },
];

export function FilesPage() {
  const may = useMay();
  const navigate = useNavigate();
  const [making, setMaking] = useState(false);
  const query = useQuery({
    queryKey: keys.buckets(),
    queryFn: ({ signal }) => ask(api.GET('/api/v1/buckets', { signal })),
  });
  const rows = query.data?.buckets ?? [];
  const silent = query.data?.silent ?? [];
  return (
    <Page
      title={words.pages.files}
      actions={
        may('BucketCreate') && (
          <Button leftSection={<Icon name="plus" size={14} />} onClick={() => setMaking(true)}>
            {words.files.make}
          </Button>
        )
      }
    >
      <DataTable
        label={words.files.buckets}
        columns={COLUMNS}
        count={rows.length}
        row={(index) => rows[index]}
        rowKey={({ id }) => id}
        onOpen={({ area, element }) =>
          void navigate({ to: '/files/$bucket', params: { bucket: area.name }, search: { element } })
        }
        after={tableAfter(
          query,
          rows.length,
          <Empty
            title={words.files.empty}
            text={words.files.emptyText}
            command="gridmart bucket create photos"
          />,
        )}
      />
      {silent.length > 0 && <p className="soft">{words.common.silent(listed(silent))}</p>}
      <Transfers />
      {making && <MakeBucket onClose={() => setMaking(false)} />}
    </Page>
  );
}

function MakeBucket({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('');
  const [redundancy, setRedundancy] = useState('');
  return (
    <FormDialog
      opened
      title={words.files.make}
      submit={words.files.make}
      act={() =>
        ask(api.POST('/api/v1/buckets', { body: { name, ...(redundancy !== '' && { redundancy }) } }))
      }
      onDone={() => {
        notifications.show({ color: 'green', message: words.files.made(name) });
        onClose();
      }}
      onClose={onClose}
    >
      <TextInput
        label={words.common.name}
        required
        data-autofocus
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <TextInput
        label={words.files.redundancy}
        description={words.files.redundancyHint}
        value={redundancy}
        onChange={(event) => setRedundancy(event.currentTarget.value)}
      />
    </FormDialog>
  );
}
