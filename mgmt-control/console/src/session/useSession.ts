import { useSyncExternalStore } from 'react';

import type { SessionView } from '../api/types';
import { sessionStore, type SessionState } from './store';

export function useSessionState(): SessionState {
  return useSyncExternalStore(sessionStore.subscribe, sessionStore.get);
}

/** The session of a page that is shown only to who is signed in. */
export function useSession(): SessionView {
  const { view } = useSessionState();
  if (!view) throw new Error('This part of the page needs a session.');
  return view;
}

/** Whether the role may do an action of the authorization table; the server decides all the same. */
export function useMay(): (action: string) => boolean {
  const { may } = useSession();
  return (action) => may.includes(action);
}
