// The page's one live stream: opened, watched for silence, opened again with growing pauses.
import { sessionStore } from '../session/store';
import { SseParser, type SseEvent } from './sse';

/** The server writes a comment every ten seconds; after this silence the stream counts as dead. */
export const SILENCE_MS = 25_000;
const PAUSE_FIRST_MS = 500;
const PAUSE_MAX_MS = 15_000;
const HIDDEN_MS = 30_000;
const TOPICS = 'overview,resources,calls,applications,events';

export interface LiveStatus {
  state: 'opening' | 'live' | 'lost';
  /** When the stream was lost, milliseconds since 1970. */
  since: number | undefined;
}

/** How long to wait before the next try; some chance in it keeps many pages from coming at once. */
export function pauseMs(tries: number, chance: number): number {
  return Math.min(PAUSE_FIRST_MS * 2 ** tries, PAUSE_MAX_MS) * (0.5 + chance / 2);
}

export class LiveConnection {
  private status: LiveStatus = { state: 'opening', since: undefined };
  private readonly listeners = new Set<() => void>();
  private stopped: AbortController | undefined;
  private lastId: string | undefined;
  private hiding: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly onEvent: (event: SseEvent) => void) {}

  readonly get = (): LiveStatus => this.status;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Opens the stream, of another session than before: what that was told is no concern of this one. */
  start(): void {
    this.lastId = undefined;
    document.addEventListener('visibilitychange', this.onVisibility);
    this.open();
  }

  private open(): void {
    this.stopped?.abort();
    this.stopped = new AbortController();
    void this.run(this.stopped.signal);
  }

  stop(): void {
    document.removeEventListener('visibilitychange', this.onVisibility);
    clearTimeout(this.hiding);
    this.close();
  }

  private close(): void {
    this.stopped?.abort();
    this.stopped = undefined;
  }

  /** A page that nobody looks at gives its connection back: a browser has few of them for all its tabs. */
  private readonly onVisibility = (): void => {
    clearTimeout(this.hiding);
    if (document.visibilityState === 'hidden') this.hiding = setTimeout(() => this.close(), HIDDEN_MS);
    else if (!this.stopped) this.open();
  };

  private async run(stopped: AbortSignal): Promise<void> {
    let tries = 0;
    while (!stopped.aborted) {
      const ended = await this.read(stopped);
      // It may have been stopped meanwhile.
      if (isAborted(stopped)) return;
      if (ended === 'signed-out') {
        sessionStore.lose();
        this.change('lost');
        return;
      }
      tries = ended === 'cut' ? 0 : tries + 1;
      this.change('lost');
      await pause(pauseMs(tries, Math.random()), stopped);
    }
  }

  /** Reads one stream to its end: `cut` if it had begun, `failed` if it never did. */
  private async read(stopped: AbortSignal): Promise<'cut' | 'failed' | 'signed-out'> {
    const dead = new AbortController();
    const abort = () => dead.abort();
    stopped.addEventListener('abort', abort);
    let watch = setTimeout(abort, SILENCE_MS);
    let begun = false;
    try {
      const headers: Record<string, string> = { accept: 'text/event-stream' };
      if (this.lastId !== undefined) headers['last-event-id'] = this.lastId;
      const answer = await fetch(`/api/v1/live?topics=${TOPICS}`, {
        headers,
        signal: dead.signal,
        cache: 'no-store',
      });
      if (answer.status === 401) return 'signed-out';
      if (!answer.ok || !answer.body) return 'failed';
      begun = true;
      this.change('live');
      const parser = new SseParser();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        clearTimeout(watch);
        watch = setTimeout(abort, SILENCE_MS);
        for (const event of parser.push(value)) {
          this.lastId = event.id ?? this.lastId;
          this.onEvent(event);
        }
      }
    } catch {
      // A cut line, a dead stream, a broken event: all are mended by opening another.
    } finally {
      clearTimeout(watch);
      stopped.removeEventListener('abort', abort);
      dead.abort();
    }
    return begun ? 'cut' : 'failed';
  }

  private change(state: LiveStatus['state']): void {
    if (state === this.status.state) return;
    this.status = { state, since: state === 'lost' ? Date.now() : undefined };
    this.listeners.forEach((listener) => listener());
  }
}

/** Asked anew each time, where a bare look would be taken for known. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

function pause(milliseconds: number, stopped: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    const now = () => {
      clearTimeout(timer);
      resolve();
    };
    stopped.addEventListener('abort', now, { once: true });
    // A page that comes to the front, or a network that is back, is reason enough to try at once.
    window.addEventListener('online', now, { once: true });
  });
}
