// Who is signed in. A store of its own, as the API client, the live stream and the page share it.
import type { SessionView } from '../api/types';

export interface SessionState {
  /** The session, once it is known; `undefined` before the first answer. */
  view: SessionView | null | undefined;
  /** A request was refused in the middle of work: the page stays, and asks to sign in again. */
  lost: boolean;
}

type Listener = () => void;

class SessionStore {
  private state: SessionState = { view: undefined, lost: false };
  private readonly listeners = new Set<Listener>();

  readonly get = (): SessionState => this.state;

  readonly subscribe = (listener: Listener): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  set(view: SessionView | null): void {
    this.change({ view, lost: false });
  }

  lose(): void {
    if (this.state.view && !this.state.lost) this.change({ ...this.state, lost: true });
  }

  private change(state: SessionState): void {
    this.state = state;
    this.listeners.forEach((listener) => listener());
  }
}

export const sessionStore = new SessionStore();
