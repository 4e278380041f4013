import { useQuery } from '@tanstack/react-query';
import { useParams, useSearch } from '@tanstack/react-router';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { DatabaseView } from '../../api/types';
import { Copyable } from '../../parts/Copyable';
import { Facts } from '../../parts/Facts';
import { Loaded } from '../../parts/ListState';
import { Page, Section } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { SimpleTable } from '../../parts/SimpleTable';
import { StateBadge } from '../../parts/StateBadge';
import { Ago } from '../../parts/Time';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { bytes, count } from '../../words/format';
import { Copies } from './Copies';
import { databaseState } from './copies';
import { Sql } from './sql/Sql';

/** What a Host tells of its copies comes with its heartbeat, so a look now and then is enough. */
const LOOK_MS = 5_000;

export function DatabasePage() {
  const { database: name } = useParams({ from: '/shell/data/$database' });
  const { element } = useSearch({ from: '/shell/data/$database' });
  const may = useMay();
  const query = useQuery({
    queryKey: keys.database(name, element),
    queryFn: ({ signal }) =>
      ask(api.GET('/api/v1/databases/{name}', { params: { path: { name }, query: { element } }, signal })),
    refetchInterval: LOOK_MS,
  });
  return (
    <Page title={name} beside={query.data && <StateBadge state={databaseState(query.data)} />}>
      <Loaded query={query} lines={10}>
        {(view) => (
          <>
            <About view={view} />
            {may('StatementRun') && <Sql database={name} />}
            <Copies view={view} />
            <Rules view={view} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function About({ view: { database, element, element_name, endpoint } }: { view: DatabaseView }) {
  const { state, info, owner } = database;
  return (
    <Section
      title={words.resources.tabs.info}
      beside={
        state && (
          <span className="soft">
            {words.common.observedAt} <Ago time={state.creation_time} />
          </span>
        )
      }
    >
      <Facts
        facts={[
          { label: words.data.engine, value: info.engine },
          { label: words.data.owner, value: <span className="name">{owner}</span> },
          { label: words.data.element, value: <ResourceName id={element} name={element_name} /> },
          {
            label: words.data.size,
            value: typeof state?.used_size === 'number' ? bytes(state.used_size) : '–',
          },
          { label: words.data.position, value: state ? count(state.log_position) : '–' },
          { label: words.data.epoch, value: state ? count(state.epoch) : '–' },
        ]}
      />
      {endpoint && <Copyable text={`psql ${endpoint}`} label={words.data.endpoint} />}
    </Section>
  );
}

function Rules({ view: { database } }: { view: DatabaseView }) {
  const rules = database.access?.rules ?? [];
  return (
    <Section title={words.data.rules} flush={rules.length > 0}>
      {rules.length === 0 ? (
        <p className="soft">{words.data.noRules}</p>
      ) : (
        <SimpleTable
          label={words.data.rules}
          titles={[
            words.resources.who,
            words.resources.operations,
            words.data.table,
            words.data.rows,
            words.data.columns,
          ]}
          rows={rules.map((rule, index) => ({
            key: String(index),
            cells: [
              <span className="name">{rule.who}</span>,
              rule.operations?.join(', ') ?? 'read, write',
              <span className="name">{rule.table ?? words.data.allTables}</span>,
              rule.rows ? <code>{rule.rows}</code> : words.data.allRows,
              <span className="name">
                {(rule.columns ?? []).map(({ name }) => name).join(', ') || words.common.none}
              </span>,
            ],
          }))}
        />
      )}
    </Section>
  );
}
