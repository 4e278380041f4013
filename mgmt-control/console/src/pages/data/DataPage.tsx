import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { DatabaseView } from '../../api/types';
import { Empty } from '../../parts/Empty';
import { tableAfter } from '../../parts/ListState';
import { Page } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { StateBadge } from '../../parts/StateBadge';
import type { Column } from '../../parts/table/column';
import { DataTable } from '../../parts/table/DataTable';
import { words } from '../../words/en';
import { bytes, listed } from '../../words/format';
import { databaseState } from './copies';
import { Sessions } from './Sessions';

const COLUMNS: Column<DatabaseView>[] = [
  {
    key: 'name',
    title: words.common.name,
    width: 'minmax(9rem, 1.5fr)',
    head: true,
    render: ({ database: { name }, element }) => (
      <Link to="/data/$database" params={{ database: name }} search={{ element }} className="name">
        {name}
      </Link>
    ),
  },
  {
    key: 'state',
    title: words.data.shadows,
    width: 'minmax(10rem, 1.3fr)',
    render: (view) => <StateBadge state={databaseState(view)} />,
  },
  {
    key: 'engine',
    title: words.data.engine,
    width: 'minmax(6rem, 0.8fr)',
    render: ({ database }) => database.info.engine,
  },
  {
    key: 'owner',
    title: words.data.owner,
    width: 'minmax(6rem, 1fr)',
    render: ({ database }) => <span className="name">{database.owner}</span>,
  },
  {
    key: 'element',
    title: words.data.element,
    width: 'minmax(6rem, 1fr)',
    render: ({ element, element_name }) => <ResourceName id={element} name={element_name} />,
  },
  {
    key: 'size',
    title: words.data.size,
    width: 'minmax(5rem, 0.6fr)',
    end: true,
    render: ({ database: { state } }) =>
      typeof state?.used_size === 'number' ? bytes(state.used_size) : '–',
  },
];

export function DataPage() {
  const navigate = useNavigate();
  const query = useQuery({
    queryKey: keys.databases(),
    queryFn: ({ signal }) => ask(api.GET('/api/v1/databases', { signal })),
  });
  const rows = query.data?.databases ?? [];
  const silent = query.data?.silent ?? [];
  return (
    <Page title={words.pages.data}>
      <DataTable
        label={words.pages.data}
        columns={COLUMNS}
        count={rows.length}
        row={(index) => rows[index]}
        rowKey={({ id }) => id}
        onOpen={({ database, element }) =>
          void navigate({ to: '/data/$database', params: { database: database.name }, search: { element } })
        }
        after={tableAfter(
          query,
          rows.length,
          <Empty
            title={words.data.empty}
            text={words.data.emptyText}
            command="gridmart db create shop --shadows 2"
          />,
        )}
      />
      {silent.length > 0 && <p className="soft">{words.common.silent(listed(silent))}</p>}
      <Sessions />
    </Page>
  );
}
