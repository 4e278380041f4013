import { Button, NativeSelect, TextInput } from '@mantine/core';
import { useState } from 'react';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { ApiTokenRow } from '../../api/types';
import { PAGE_ROWS, usePages } from '../../api/usePages';
import { ConfirmButton } from '../../parts/ConfirmButton';
import { FormDialog } from '../../parts/FormDialog';
import { Icon } from '../../parts/Icon';
import { tableAfter } from '../../parts/ListState';
import { Section } from '../../parts/Page';
import { Ago } from '../../parts/Time';
import { Empty } from '../../parts/Empty';
import type { Column } from '../../parts/table/column';
import { DataTable } from '../../parts/table/DataTable';
import { words } from '../../words/en';
import { ShownOnce } from './ShownOnce';

const DAY_SECONDS = 86_400;
const LIVES = [
  { value: String(DAY_SECONDS), label: words.people.day },
  { value: String(30 * DAY_SECONDS), label: words.people.month },
  { value: String(365 * DAY_SECONDS), label: words.people.year },
];

function named(label: string | undefined, otherwise: string): string {
  return label === undefined || label === '' ? otherwise : label;
}

const COLUMNS: Column<ApiTokenRow>[] = [
  {
    key: 'label',
    title: words.people.label,
    width: 'minmax(9rem, 1.6fr)',
    head: true,
    render: ({ label, session }) => (
      <span className="name">{session === true ? words.people.session : named(label, '–')}</span>
    ),
  },
  {
    key: 'person',
    title: words.people.whose,
    width: 'minmax(7rem, 1fr)',
    render: ({ person }) => <span className="name">{person}</span>,
  },
  {
    key: 'created',
    title: words.people.made,
    width: 'minmax(7rem, 0.8fr)',
    render: ({ created }) => (created === undefined ? '–' : <Ago time={created} />),
  },
  {
    key: 'expires',
    title: words.people.expires,
    width: 'minmax(7rem, 0.8fr)',
    render: ({ expires }) => <Ago time={expires} />,
  },
  {
    key: 'id',
    title: words.people.id,
    width: 'minmax(8rem, 1fr)',
    render: ({ id }) => <code title={id}>{id}</code>,
  },
  {
    key: 'actions',
    title: words.common.actions,
    width: '6rem',
    end: true,
    render: ({ id, label, session }) => {
      const name = session === true ? words.people.session : named(label, id);
      return (
        <ConfirmButton
          compact
          dangerous
          label={session ? words.people.endSession : words.people.revokeToken}
          name={name}
          text={session ? words.people.endSessionText : words.people.revokeTokenText(name)}
          act={() => ask(api.DELETE('/api/v1/api-tokens/{id}', { params: { path: { id } } }))}
        />
      );
    },
  },
];

/** Tokens of programs and sessions of browsers: one's own; an admin sees all. */
export function TokensTab() {
  const [making, setMaking] = useState(false);
  const [token, setToken] = useState<string>();
  const { query, rows, onRange } = usePages<ApiTokenRow>(keys.tokens(), (after, signal) =>
    ask(api.GET('/api/v1/api-tokens', { params: { query: { after, limit: PAGE_ROWS } }, signal })),
  );
  return (
    <Section
      flush
      title={words.people.tokens}
      beside={
        <Button leftSection={<Icon name="plus" size={14} />} onClick={() => setMaking(true)}>
          {words.people.makeToken}
        </Button>
      }
    >
      <DataTable
        label={words.people.tokens}
        columns={COLUMNS}
        count={rows.length}
        row={(index) => rows[index]}
        rowKey={({ id }) => id}
        onRange={onRange}
        after={tableAfter(query, rows.length, <Empty title={words.people.noTokens} />)}
      />
      {making && (
        <MakeToken
          onClose={() => setMaking(false)}
          onMade={(made) => {
            setMaking(false);
            setToken(made);
          }}
        />
      )}
      <ShownOnce secret={token} title={words.people.makeToken} onClose={() => setToken(undefined)} />
    </Section>
  );
}

function MakeToken({ onClose, onMade }: { onClose: () => void; onMade: (token: string) => void }) {
  const [label, setLabel] = useState('');
  const [life, setLife] = useState(String(30 * DAY_SECONDS));
  return (
    <FormDialog
      opened
      title={words.people.makeToken}
      submit={words.people.makeToken}
      act={() => ask(api.POST('/api/v1/api-tokens', { body: { label, expires_in: Number(life) } }))}
      onDone={({ token }) => onMade(token)}
      onClose={onClose}
    >
      <TextInput
        label={words.people.label}
        required
        data-autofocus
        maxLength={100}
        value={label}
        onChange={(event) => setLabel(event.currentTarget.value)}
      />
      <NativeSelect
        label={words.people.lives}
        data={LIVES}
        value={life}
        onChange={(event) => setLife(event.currentTarget.value)}
      />
    </FormDialog>
  );
}
