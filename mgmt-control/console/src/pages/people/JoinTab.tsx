import { Button, NativeSelect, NumberInput, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type SubmitEvent } from 'react';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { NodeKind } from '../../api/types';
import { Copyable } from '../../parts/Copyable';
import { Section } from '../../parts/Page';
import { ProblemView } from '../../parts/ProblemView';
import { words } from '../../words/en';
import { JoinTokens } from './JoinTokens';
import css from './People.module.css';

const HOUR_SECONDS = 3600;
const LIVES = [
  { value: String(HOUR_SECONDS), label: words.people.hour },
  { value: String(24 * HOUR_SECONDS), label: words.people.day },
  { value: String(7 * 24 * HOUR_SECONDS), label: words.people.week },
];
const ELEMENT_OF: Partial<Record<NodeKind, NodeKind>> = { chost: 'ce', shost: 'se', dhost: 'de' };
const KINDS: NodeKind[] = ['chost', 'shost', 'dhost', 'ce', 'se', 'de'];

/** Makes the line that is pasted on a new machine. */
export function JoinTab() {
  return (
    <>
      <Section title={words.people.join}>
        <p className="soft">{words.people.joinText}</p>
        <JoinForm />
      </Section>
      <JoinTokens />
    </>
  );
}

function JoinForm() {
  const [kind, setKind] = useState<NodeKind>('chost');
  const [element, setElement] = useState('');
  const [domain, setDomain] = useState('');
  const [uses, setUses] = useState(1);
  const [life, setLife] = useState(String(HOUR_SECONDS));
  const client = useQueryClient();
  const elementKind = ELEMENT_OF[kind];
  const elements = useQuery({
    queryKey: keys.resourcePage({ kind: elementKind, limit: 1000 }),
    queryFn: ({ signal }) =>
      ask(api.GET('/api/v1/resources', { params: { query: { kind: elementKind, limit: 1000 } }, signal })),
    enabled: elementKind !== undefined,
  });
  const names = elements.data?.items ?? [];
  const chosen = names.find(({ id }) => id === element) ?? names[0];
  const make = useMutation({
    mutationFn: () =>
      ask(
        api.POST('/api/v1/join-tokens', {
          body: {
            kind,
            uses,
            expires_in: Number(life),
            label: '',
            ...(elementKind === undefined ? { domain } : { element: chosen?.id ?? '' }),
          },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.joinTokens() }),
  });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    make.mutate();
  };
  const missing = elementKind !== undefined && elements.data !== undefined && names.length === 0;
  return (
    <form className={css.join} onSubmit={submit}>
      <div className={css.fields}>
        <NativeSelect
          label={words.people.joinKind}
          value={kind}
          onChange={(event) => {
            setKind(event.currentTarget.value as NodeKind);
            setElement('');
            make.reset();
          }}
          data={KINDS.map((value) => ({ value, label: words.kind[value] }))}
        />
        {elementKind === undefined ? (
          <TextInput
            label={words.people.joinDomain}
            required
            value={domain}
            onChange={(event) => setDomain(event.currentTarget.value)}
          />
        ) : (
          <NativeSelect
            label={words.people.joinElement}
            value={chosen?.id ?? ''}
            onChange={(event) => setElement(event.currentTarget.value)}
            data={names.map(({ id, name }) => ({ value: id, label: name }))}
          />
        )}
        <NumberInput
          size="xs"
          label={words.people.joinUses}
          min={1}
          max={10_000}
          value={uses}
          onChange={(value) => setUses(Number(value) || 1)}
        />
        <NativeSelect
          label={words.people.lives}
          data={LIVES}
          value={life}
          onChange={(event) => setLife(event.currentTarget.value)}
        />
      </div>
      {missing && <p className="soft">{words.people.noElements}</p>}
      {make.isError && <ProblemView problem={make.error} />}
      <div>
        <Button type="submit" loading={make.isPending} disabled={missing}>
          {words.people.joinMake}
        </Button>
      </div>
      {make.data && (
        <div className={css.made} role="status">
          <p>
            {words.people.joinCommand} <span className="soft">{words.people.once}</span>
          </p>
          <Copyable text={make.data.command} />
        </div>
      )}
    </form>
  );
}
