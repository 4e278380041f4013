import { useQueryClient } from '@tanstack/react-query';
import { useRouter, useSearch } from '@tanstack/react-router';
import { useEffect } from 'react';

import { words } from '../words/en';
import { readSession } from './actions';
import { safeNext } from './next';
import { SignInForm } from './SignInForm';
import { sessionStore } from './store';
import { useSessionState } from './useSession';
import css from './SignIn.module.css';

export function SignInPage() {
  const { view } = useSessionState();
  const { next } = useSearch({ from: '/sign-in' });
  const router = useRouter();
  const client = useQueryClient();
  useEffect(() => {
    document.title = `${words.signIn.title} · ${words.product}`;
  }, []);
  // Whoever is signed in already needs no form.
  useEffect(() => {
    if (sessionStore.get().view === undefined) void readSession().catch(() => undefined);
  }, []);
  useEffect(() => {
    if (!view) return;
    // Nothing that somebody else saw before is shown again.
    client.clear();
    // The whole address, with its query string.
    router.history.replace(safeNext(next));
  }, [view, next, router, client]);
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
