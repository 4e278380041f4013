import { api, ask } from '../api/client';
import { asProblem } from '../api/problem';
import { sessionStore } from './store';

export type Credentials = { name: string; password: string } | { token: string };

export async function signIn(credentials: Credentials): Promise<void> {
  sessionStore.set(await ask(api.POST('/api/v1/session', { body: credentials })));
}

/** Asks the server who is signed in; nobody is no error. */
export async function readSession(): Promise<void> {
  try {
    sessionStore.set(await ask(api.GET('/api/v1/session')));
  } catch (thrown) {
    if (asProblem(thrown).status !== 401) throw thrown;
    sessionStore.set(null);
  }
}

export async function signOut(): Promise<void> {
  await ask(api.DELETE('/api/v1/session'));
  sessionStore.set(null);
}
