import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { JoinTokenRow } from '../../api/types';
import { PAGE_ROWS, usePages } from '../../api/usePages';
import { ConfirmButton } from '../../parts/ConfirmButton';
import { Empty } from '../../parts/Empty';
import { tableAfter } from '../../parts/ListState';
import { Section } from '../../parts/Page';
import { Ago } from '../../parts/Time';
import type { Column } from '../../parts/table/column';
import { DataTable } from '../../parts/table/DataTable';
import { words } from '../../words/en';
import { count } from '../../words/format';

const COLUMNS: Column<JoinTokenRow>[] = [
  {
    key: 'kind',
    title: words.common.kind,
    width: 'minmax(9rem, 1fr)',
    head: true,
    render: ({ kind }) => words.kind[kind],
  },
  {
    key: 'domain',
    title: words.common.domain,
    width: 'minmax(7rem, 1fr)',
    render: ({ domain }) => <span className="name">{domain}</span>,
  },
  {
    key: 'uses',
    title: words.people.usesLeft,
    width: '7rem',
    end: true,
    render: ({ uses_left }) => count(uses_left),
  },
  {
    key: 'expires',
    title: words.people.expires,
    width: 'minmax(7rem, 1fr)',
    render: ({ expires }) => <Ago time={expires} />,
  },
  {
    key: 'label',
    title: words.people.label,
    width: 'minmax(8rem, 1.5fr)',
    render: ({ label }) => <span className="name">{label}</span>,
  },
  {
    key: 'actions',
    title: words.common.actions,
    width: '6rem',
    end: true,
    render: ({ id, kind }) => (
      <ConfirmButton
        compact
        dangerous
        label={words.people.revokeToken}
        name={words.kind[kind]}
        text={words.people.takeBackText}
        act={() => ask(api.DELETE('/api/v1/join-tokens/{id}', { params: { path: { id } } }))}
      />
    ),
  },
];

/** Join tokens of the controller that are in force. */
export function JoinTokens() {
  const { query, rows, onRange } = usePages<JoinTokenRow>(keys.joinTokens(), (after, signal) =>
    ask(api.GET('/api/v1/join-tokens', { params: { query: { after, limit: PAGE_ROWS } }, signal })),
  );
  return (
    <Section flush title={words.people.joinTokens}>
      <DataTable
        label={words.people.joinTokens}
        columns={COLUMNS}
        count={rows.length}
        row={(index) => rows[index]}
        rowKey={({ id }) => id}
        onRange={onRange}
        after={tableAfter(
          query,
          rows.length,
          <Empty title={words.people.noTokens} text={words.people.joinTokensText} />,
        )}
      />
    </Section>
  );
}
