import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useMemo, useState } from 'react';

import { readApplications } from '../../api/applications';
import { keys } from '../../api/keys';
import { Empty } from '../../parts/Empty';
import { Icon } from '../../parts/Icon';
import { tableAfter } from '../../parts/ListState';
import { Page } from '../../parts/Page';
import { Ago } from '../../parts/Time';
import type { Column } from '../../parts/table/column';
import { DataTable } from '../../parts/table/DataTable';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { Spread } from './Spread';
import { shelf, type Shelved } from './shelf';
import { UploadDialog } from './upload/UploadDialog';

const COLUMNS: Column<Shelved>[] = [
  {
    key: 'name',
    title: words.common.name,
    width: 'minmax(10rem, 2fr)',
    head: true,
    render: ({ name }) => (
      <Link to="/applications/$name" params={{ name }} className="name" title={name}>
        {name}
      </Link>
    ),
  },
  {
    key: 'version',
    title: words.applications.default,
    width: 'minmax(5rem, 0.8fr)',
    render: ({ main }) => <span className="name">{main.version}</span>,
  },
  {
    key: 'versions',
    title: words.applications.versions,
    width: 'minmax(5rem, 0.6fr)',
    end: true,
    render: ({ versions }) => versions.length,
  },
  {
    key: 'state',
    title: words.common.state,
    width: 'minmax(10rem, 1.2fr)',
    render: ({ main }) => <Spread version={main} />,
  },
  {
    key: 'capabilities',
    title: words.applications.capabilities,
    width: 'minmax(8rem, 1.4fr)',
    render: ({ main }) => <span className="name">{main.capabilities.join(', ')}</span>,
  },
  {
    key: 'owner',
    title: words.applications.owner,
    width: 'minmax(6rem, 1fr)',
    render: ({ main }) => <span className="name">{main.owner}</span>,
  },
  {
    key: 'uploaded',
    title: words.applications.uploadedAt,
    width: 'minmax(6rem, 0.8fr)',
    end: true,
    render: ({ main }) => <Ago time={main.uploaded} />,
  },
];

export function ApplicationsPage() {
  const may = useMay();
  const navigate = useNavigate();
  const [uploading, setUploading] = useState(false);
  const query = useQuery({
    queryKey: keys.applications(),
    queryFn: ({ signal }) => readApplications(signal),
  });
  const rows = useMemo(() => shelf(query.data ?? []), [query.data]);
  const upload = may('ApplicationUpload') && (
    <Button leftSection={<Icon name="upload" size={14} />} onClick={() => setUploading(true)}>
      {words.applications.upload}
    </Button>
  );
  return (
    <Page title={words.pages.applications} fill actions={upload}>
      <DataTable
        fill
        label={words.pages.applications}
        columns={COLUMNS}
        count={rows.length}
        row={(index) => rows[index]}
        rowKey={({ name }) => name}
        onOpen={({ name }) => void navigate({ to: '/applications/$name', params: { name } })}
        after={tableAfter(
          query,
          rows.length,
          <Empty
            title={words.applications.empty}
            text={words.applications.emptyText}
            command="gridmart init hello && gridmart upload hello"
          />,
        )}
      />
      <UploadDialog opened={uploading} onClose={() => setUploading(false)} />
    </Page>
  );
}
