import { Button, PasswordInput, SegmentedControl, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState, type SubmitEvent } from 'react';

import { ProblemView } from '../parts/ProblemView';
import { words } from '../words/en';
import { signIn, type Credentials } from './actions';
import css from './SignIn.module.css';

type Way = 'password' | 'token';

/** Name and password, or a token; of a session that has ended, the name is known. */
export function SignInForm({ person, onDone }: { person?: string; onDone?: () => void }) {
  const [way, setWay] = useState<Way>('password');
  const [name, setName] = useState(person ?? '');
  const [secret, setSecret] = useState('');
  const send = useMutation({ mutationFn: signIn, onSuccess: () => onDone?.() });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const credentials: Credentials =
      way === 'password' ? { name: name.trim(), password: secret } : { token: secret.trim() };
    send.mutate(credentials);
  };
  return (
    <form className={css.form} onSubmit={submit}>
      <SegmentedControl
        aria-label={words.signIn.title}
        fullWidth
        value={way}
        onChange={(next) => {
          setWay(next as Way);
          setSecret('');
        }}
        data={[
          { value: 'password', label: words.signIn.withPassword },
          { value: 'token', label: words.signIn.withToken },
        ]}
      />
      {way === 'password' && (
        <TextInput
          size="sm"
          label={words.signIn.name}
          autoComplete="username"
          required
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
      )}
      <PasswordInput
        key={way}
        size="sm"
        label={way === 'password' ? words.signIn.password : words.signIn.token}
        autoComplete={way === 'password' ? 'current-password' : 'off'}
        required
        value={secret}
        onChange={(event) => setSecret(event.currentTarget.value)}
      />
      {send.isError && <ProblemView problem={send.error} />}
      <Button size="sm" type="submit" loading={send.isPending}>
        {words.signIn.submit}
      </Button>
    </form>
  );
}
