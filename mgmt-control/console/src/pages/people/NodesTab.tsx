import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { NodeRow } from '../../api/types';
import { PAGE_ROWS, usePages } from '../../api/usePages';
import { ConfirmButton } from '../../parts/ConfirmButton';
import { Empty } from '../../parts/Empty';
import { tableAfter } from '../../parts/ListState';
import { Section } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { StateBadge } from '../../parts/StateBadge';
import { Ago } from '../../parts/Time';
import type { Column } from '../../parts/table/column';
import { DataTable } from '../../parts/table/DataTable';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';

function certificate({ revoked, not_after }: NodeRow) {
  if (revoked) return <StateBadge state={{ tone: 'closed', word: words.people.revoked }} />;
  if (Date.parse(not_after) < Date.now())
    return <StateBadge state={{ tone: 'critical', word: words.people.expired }} />;
  return <StateBadge state={{ tone: 'ok', word: words.people.valid }} />;
}

function columns(mayRevoke: boolean): Column<NodeRow>[] {
  return [
    {
      key: 'name',
      title: words.common.name,
      width: 'minmax(9rem, 1.5fr)',
      head: true,
      render: ({ id, name, revoked }) =>
        revoked ? <span className="name">{name}</span> : <ResourceName id={id} name={name} />,
    },
    {
      key: 'kind',
      title: words.common.kind,
      width: 'minmax(9rem, 1.2fr)',
      render: ({ kind }) => words.kind[kind],
    },
    {
      key: 'domain',
      title: words.common.domain,
      width: 'minmax(6rem, 1fr)',
      render: ({ domain }) => <span className="name">{domain}</span>,
    },
    { key: 'state', title: words.people.certificate, width: 'minmax(7rem, 1fr)', render: certificate },
    {
      key: 'until',
      title: words.people.certificateUntil,
      width: 'minmax(7rem, 1fr)',
      render: ({ not_after }) => <Ago time={not_after} />,
    },
    {
      key: 'actions',
      title: words.common.actions,
      width: '6rem',
      end: true,
      render: ({ id, name, revoked }) =>
        mayRevoke &&
        !revoked && (
          <ConfirmButton
            compact
            dangerous
            label={words.people.revoke}
            name={name}
            text={words.people.revokeText(name)}
            act={() => ask(api.POST('/api/v1/nodes/{id}/revoke', { params: { path: { id } } }))}
          />
        ),
    },
  ];
}

/** All nodes that ever joined, and their certificates. */
export function NodesTab() {
  const may = useMay();
  const { query, rows, onRange } = usePages<NodeRow>(keys.nodes(), (after, signal) =>
    ask(api.GET('/api/v1/nodes', { params: { query: { after, limit: PAGE_ROWS } }, signal })),
  );
  return (
    <Section flush title={words.people.nodes}>
      <DataTable
        label={words.people.nodes}
        columns={columns(may('NodeRevoke'))}
        count={rows.length}
        row={(index) => rows[index]}
        rowKey={({ id }) => id}
        onRange={onRange}
        after={tableAfter(
          query,
          rows.length,
          <Empty title={words.resources.empty} text={words.resources.emptyText} />,
        )}
      />
    </Section>
  );
}
