import { Button } from '@mantine/core';
import { useState } from 'react';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { PersonView } from '../../api/types';
import { PAGE_ROWS, usePages } from '../../api/usePages';
import { ConfirmButton } from '../../parts/ConfirmButton';
import { Icon } from '../../parts/Icon';
import { tableAfter } from '../../parts/ListState';
import { Section } from '../../parts/Page';
import { StateBadge } from '../../parts/StateBadge';
import type { Column } from '../../parts/table/column';
import { DataTable } from '../../parts/table/DataTable';
import { useSession } from '../../session/useSession';
import { words } from '../../words/en';
import { AddPerson, ChangePerson } from './PersonForms';
import css from './People.module.css';

function setEnabled({ name }: PersonView, enabled: boolean) {
  return ask(api.PATCH('/api/v1/people/{name}', { params: { path: { name } }, body: { enabled } }));
}

function columns(me: string, onChange: (person: PersonView) => void): Column<PersonView>[] {
  return [
    {
      key: 'name',
      title: words.common.name,
      width: 'minmax(8rem, 1.5fr)',
      head: true,
      render: ({ name }) => <span className="name">{name}</span>,
    },
    {
      key: 'role',
      title: words.people.role,
      width: 'minmax(6rem, 1fr)',
      render: ({ role }) => <span title={words.people.roles[role]}>{role}</span>,
    },
    {
      key: 'domain',
      title: words.common.domain,
      width: 'minmax(6rem, 1fr)',
      render: ({ domain }) => <span className="name">{domain ?? '–'}</span>,
    },
    {
      key: 'enabled',
      title: words.people.signsIn,
      width: 'minmax(7rem, 1fr)',
      render: ({ enabled }) => (
        <StateBadge
          state={
            enabled ? { tone: 'ok', word: words.common.yes } : { tone: 'closed', word: words.people.shutOut }
          }
        />
      ),
    },
    {
      key: 'actions',
      title: words.common.actions,
      width: '13rem',
      end: true,
      render: (person) => (
        <span className={css.actions}>
          <Button
            size="compact-xs"
            variant="default"
            onClick={() => onChange(person)}
            aria-label={`${words.people.change}: ${person.name}`}
          >
            {words.people.change}
          </Button>
          {person.name !== me && (
            <ConfirmButton
              compact
              dangerous={person.enabled}
              label={person.enabled ? words.people.disable : words.people.enable}
              name={person.name}
              text={
                person.enabled ? words.people.disableText(person.name) : words.people.enableText(person.name)
              }
              done={words.people.changed(person.name)}
              act={() => setEnabled(person, !person.enabled)}
            />
          )}
        </span>
      ),
    },
  ];
}

/** Everybody who may sign in. */
export function PersonsTab() {
  const me = useSession().person;
  const [adding, setAdding] = useState(false);
  const [changing, setChanging] = useState<PersonView>();
  const { query, rows, onRange } = usePages<PersonView>(keys.people(), (after, signal) =>
    ask(api.GET('/api/v1/people', { params: { query: { after, limit: PAGE_ROWS } }, signal })),
  );
  return (
    <Section
      flush
      title={words.people.people}
      beside={
        <Button leftSection={<Icon name="plus" size={14} />} onClick={() => setAdding(true)}>
          {words.people.add}
        </Button>
      }
    >
      <DataTable
        label={words.people.people}
        columns={columns(me, setChanging)}
        count={rows.length}
        row={(index) => rows[index]}
        rowKey={({ name }) => name}
        onRange={onRange}
        after={tableAfter(query, rows.length, null)}
      />
      {adding && <AddPerson onClose={() => setAdding(false)} />}
      {changing && <ChangePerson person={changing} onClose={() => setChanging(undefined)} />}
    </Section>
  );
}
