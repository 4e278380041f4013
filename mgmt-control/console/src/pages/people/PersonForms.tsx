import { NativeSelect, PasswordInput, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useState } from 'react';

import { api, ask } from '../../api/client';
import type { PersonView, Role } from '../../api/types';
import { FormDialog } from '../../parts/FormDialog';
import { words } from '../../words/en';

const ROLES = Object.entries(words.people.roles).map(([value, text]) => ({
  value,
  label: `${value} – ${text}`,
}));

function told(text: string, onClose: () => void) {
  notifications.show({ color: 'green', message: text });
  onClose();
}

export function AddPerson({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('user');
  const [domain, setDomain] = useState('');
  const [password, setPassword] = useState('');
  return (
    <FormDialog
      opened
      title={words.people.add}
      submit={words.people.add}
      act={() =>
        ask(api.POST('/api/v1/people', { body: { name, role, password, ...(domain !== '' && { domain }) } }))
      }
      onDone={() => told(words.people.added(name), onClose)}
      onClose={onClose}
    >
      <TextInput
        label={words.common.name}
        required
        autoComplete="off"
        data-autofocus
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <NativeSelect
        label={words.people.role}
        data={ROLES}
        value={role}
        onChange={(event) => setRole(event.currentTarget.value as Role)}
      />
      <TextInput
        label={words.people.domainOptional}
        value={domain}
        onChange={(event) => setDomain(event.currentTarget.value)}
      />
      <PasswordInput
        label={words.people.newPassword}
        description={words.people.passwordHint}
        required
        minLength={12}
        autoComplete="new-password"
        value={password}
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
    </FormDialog>
  );
}

export function ChangePerson({ person, onClose }: { person: PersonView; onClose: () => void }) {
  const [role, setRole] = useState<Role>(person.role);
  const [password, setPassword] = useState('');
  return (
    <FormDialog
      opened
      title={`${words.people.change}: ${person.name}`}
      submit={words.people.change}
      act={() =>
        ask(
          api.PATCH('/api/v1/people/{name}', {
            params: { path: { name: person.name } },
            body: { ...(role !== person.role && { role }), ...(password !== '' && { password }) },
          }),
        )
      }
      onDone={() => told(words.people.changed(person.name), onClose)}
      onClose={onClose}
    >
      <NativeSelect
        label={words.people.role}
        data={ROLES}
        value={role}
        onChange={(event) => setRole(event.currentTarget.value as Role)}
      />
      <PasswordInput
        label={words.people.newPassword}
        description={words.people.passwordStays}
        minLength={12}
        autoComplete="new-password"
        value={password}
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
    </FormDialog>
  );
}
