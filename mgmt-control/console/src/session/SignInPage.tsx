import { useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect } from 'react';

import { words } from '../words/en';
import { safeNext } from './next';
import { SignInForm } from './SignInForm';
import { useSessionState } from './useSession';
import css from './SignIn.module.css';

export function SignInPage() {
  const { view } = useSessionState();
  const { next } = useSearch({ from: '/sign-in' });
  const navigate = useNavigate();
  const client = useQueryClient();
  useEffect(() => {
    document.title = `${words.signIn.title} · ${words.product}`;
  }, []);
  useEffect(() => {
    if (!view) return;
    // Nothing that somebody else saw before is shown again.
    client.clear();
    void navigate({ to: safeNext(next), replace: true });
  }, [view, next, navigate, client]);
  return (
    <main className={css.ground}>
      <div className={css.card}>
        <h1 className={css.brand}>
          <img src="/icon.svg" width={24} height={24} alt="" />
          {words.product}
        </h1>
        <SignInForm />
        <p className="soft">{words.signIn.hint}</p>
      </div>
    </main>
  );
}
