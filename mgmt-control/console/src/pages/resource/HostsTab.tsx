import { useNavigate } from '@tanstack/react-router';

import { useResourceRows } from '../../api/resources';
import type { NodeKind } from '../../api/types';
import type { Resource } from '../../api/resources';
import { Empty } from '../../parts/Empty';
import { tableAfter } from '../../parts/ListState';
import { DataTable } from '../../parts/table/DataTable';
import { words } from '../../words/en';
import { RESOURCE_COLUMNS } from '../resources/columns';

const COLUMNS = RESOURCE_COLUMNS.filter(({ key }) => !['element', 'domain', 'kind'].includes(key));

const HOST_KIND: Partial<Record<NodeKind, NodeKind>> = { ce: 'chost', se: 'shost', de: 'dhost' };

/** The machines of an Element. */
export function HostsTab({ view: { row: element } }: { view: Resource }) {
  const navigate = useNavigate();
  const { first, total, row, onRange } = useResourceRows({
    element: element.id,
    kind: HOST_KIND[element.kind],
    sort: 'name',
  });
  return (
    <DataTable
      label={words.resources.hostsOf(element.name)}
      columns={COLUMNS}
      count={total}
      row={row}
      rowKey={(at) => at.id}
      onOpen={(at) => void navigate({ to: '/resources/$id', params: { id: at.id } })}
      onRange={onRange}
      after={
        first &&
        tableAfter(
          first,
          total,
          <Empty
            title={words.resources.noMatch}
            command={`gridmart token create --kind ${HOST_KIND[element.kind] ?? 'chost'} --element ${element.name}`}
          />,
        )
      }
    />
  );
}
