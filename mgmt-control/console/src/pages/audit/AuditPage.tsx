import { Button, TextInput } from '@mantine/core';
import { useState } from 'react';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { AuditRow } from '../../api/types';
import { PAGE_ROWS, usePages } from '../../api/usePages';
import { Empty } from '../../parts/Empty';
import { Icon } from '../../parts/Icon';
import { tableAfter } from '../../parts/ListState';
import { NotAllowed } from '../../parts/NotAllowed';
import { Filters, Page } from '../../parts/Page';
import { save } from '../../parts/save';
import { StateBadge } from '../../parts/StateBadge';
import { Clock } from '../../parts/Time';
import type { Column } from '../../parts/table/column';
import { DataTable } from '../../parts/table/DataTable';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { plural } from '../../words/format';
import { csv, matches } from './rows';

const COLUMNS: Column<AuditRow>[] = [
  {
    key: 'when',
    title: words.audit.when,
    width: 'minmax(9rem, 0.9fr)',
    render: (row) => <Clock time={row.time} />,
  },
  {
    key: 'what',
    title: words.audit.what,
    width: 'minmax(9rem, 1.1fr)',
    head: true,
    render: (row) => row.action,
  },
  {
    key: 'who',
    title: words.audit.who,
    width: 'minmax(6rem, 0.9fr)',
    render: (row) => (
      <span className="name" title={row.actor}>
        {row.actor}
      </span>
    ),
  },
  {
    key: 'target',
    title: words.audit.target,
    width: 'minmax(9rem, 1.5fr)',
    render: (row) => (
      <span className="name" title={row.target}>
        {row.target}
      </span>
    ),
  },
  {
    key: 'result',
    title: words.audit.result,
    width: 'minmax(7rem, 0.9fr)',
    render: (row) => (
      <StateBadge
        state={
          row.result === 'done'
            ? { tone: 'ok', word: words.audit.done }
            : { tone: 'warning', word: row.result }
        }
      />
    ),
  },
  {
    key: 'detail',
    title: words.audit.detail,
    width: 'minmax(10rem, 2fr)',
    render: (row) => (
      <span className="name" title={row.detail}>
        {row.detail}
      </span>
    ),
  },
];

export function AuditPage() {
  const may = useMay();
  return (
    <Page title={words.pages.audit} fill>
      {may('AuditList') ? <Audit /> : <NotAllowed />}
    </Page>
  );
}

function Audit() {
  const [search, setSearch] = useState('');
  const { query, rows, onRange, more } = usePages<AuditRow>(keys.audit(), (after, signal) =>
    ask(api.GET('/api/v1/audit', { params: { query: { after, limit: PAGE_ROWS } }, signal })),
  );
  const shown = rows.filter((row) => matches(row, search));
  return (
    <>
      <Filters count={query.data && `${plural(shown.length, 'row')}${more ? words.audit.soFar : ''}`}>
        <TextInput
          type="search"
          aria-label={words.audit.search}
          placeholder={words.audit.search}
          leftSection={<Icon name="search" size={14} />}
          maxLength={200}
          value={search}
          onChange={(event) => setSearch(event.currentTarget.value)}
        />
        <Button
          variant="default"
          disabled={shown.length === 0}
          onClick={() => save('audit.csv', 'text/csv', csv(shown))}
        >
          {words.audit.export}
        </Button>
        {more && (
          <Button
            variant="default"
            loading={query.isFetchingNextPage}
            onClick={() => void query.fetchNextPage()}
          >
            {words.common.more}
          </Button>
        )}
      </Filters>
      <DataTable
        fill
        label={words.pages.audit}
        columns={COLUMNS}
        count={shown.length}
        row={(index) => shown[index]}
        rowKey={({ sequence }) => String(sequence)}
        onRange={onRange}
        after={tableAfter(
          query,
          shown.length,
          <Empty title={search === '' ? words.audit.empty : words.resources.noMatch} />,
        )}
      />
    </>
  );
}
