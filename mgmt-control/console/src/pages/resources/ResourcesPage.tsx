import { Button, NativeSelect, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';

import { useResourceRows } from '../../api/resources';
import type { Condition, NodeKind } from '../../api/types';
import { Empty } from '../../parts/Empty';
import { Icon } from '../../parts/Icon';
import { tableAfter } from '../../parts/ListState';
import { Filters, Page } from '../../parts/Page';
import { DataTable } from '../../parts/table/DataTable';
import { CONDITIONS, resourceSort } from '../../search';
import { words } from '../../words/en';
import { plural } from '../../words/format';
import { RESOURCE_COLUMNS } from './columns';

const TYPING_PAUSE_MS = 250;
const KINDS = (Object.keys(words.kind) as NodeKind[]).filter((kind) => kind !== 'control');

export function ResourcesPage() {
  const query = useSearch({ from: '/shell/resources' });
  const navigate = useNavigate({ from: '/resources' });
  const { first, total, row, onRange } = useResourceRows({ ...query, sort: query.sort ?? 'name' });
  const filtered = query.search !== undefined || query.kind !== undefined || query.condition !== undefined;
  const change = (next: Partial<typeof query>) =>
    void navigate({ to: '/resources', search: (old) => ({ ...old, ...next }), replace: true });
  return (
    <Page title={words.pages.resources} fill>
      <Filters count={first?.data && plural(total, 'row')}>
        <SearchField
          key={query.search ?? ''}
          value={query.search ?? ''}
          onChange={(search) => change({ search })}
        />
        <NativeSelect
          aria-label={words.common.kind}
          value={query.kind ?? ''}
          onChange={(event) =>
            change({ kind: (event.currentTarget.value || undefined) as NodeKind | undefined })
          }
          data={[
            { value: '', label: words.common.anyKind },
            ...KINDS.map((kind) => ({ value: kind, label: words.kind[kind] })),
          ]}
        />
        <NativeSelect
          aria-label={words.common.state}
          value={query.condition ?? ''}
          onChange={(event) =>
            change({ condition: (event.currentTarget.value || undefined) as Condition | undefined })
          }
          data={[
            { value: '', label: words.common.anyState },
            ...Object.entries(CONDITIONS).map(([value, label]) => ({ value, label })),
          ]}
        />
      </Filters>
      <DataTable
        key={JSON.stringify(query)}
        fill
        label={words.pages.resources}
        columns={RESOURCE_COLUMNS}
        count={total}
        row={row}
        rowKey={(at) => at.id}
        onOpen={(at) => void navigate({ to: '/resources/$id', params: { id: at.id } })}
        onRange={onRange}
        sort={{ by: query.sort ?? 'name', descending: query.descending ?? false }}
        onSort={({ by, descending }) =>
          change({ sort: resourceSort(by), descending: descending || undefined })
        }
        after={
          first &&
          tableAfter(
            first,
            total,
            filtered ? (
              <Empty title={words.resources.noMatch} text={words.resources.noMatchText}>
                <Button variant="default" onClick={() => void navigate({ to: '/resources', search: {} })}>
                  {words.resources.clear}
                </Button>
              </Empty>
            ) : (
              <Empty
                title={words.resources.empty}
                text={words.resources.emptyText}
                command="gridmart token create --kind ce --domain DOMAIN"
              />
            ),
          )
        }
      />
    </Page>
  );
}

function SearchField({ value, onChange }: { value: string; onChange: (search: string | undefined) => void }) {
  const [typed, setTyped] = useState(value);
  const tell = useDebouncedCallback(
    (text: string) => onChange(text.trim() === '' ? undefined : text.trim()),
    TYPING_PAUSE_MS,
  );
  return (
    <TextInput
      type="search"
      aria-label={words.common.search}
      placeholder={words.common.search}
      leftSection={<Icon name="search" size={14} />}
      maxLength={200}
      value={typed}
      onChange={(event) => {
        setTyped(event.currentTarget.value);
        tell(event.currentTarget.value);
      }}
    />
  );
}
