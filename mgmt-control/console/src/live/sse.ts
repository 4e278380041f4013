// Reads text/event-stream from a body. The browser's own EventSource hides comment lines and HTTP
// statuses, both of which the page needs: comments tell that the stream still lives, 401 that the
// session does not.

export interface SseEvent {
  id: string | undefined;
  event: string;
  data: string;
}

/** Text of a single event beyond this is no event of ours. */
const EVENT_CHARACTERS_MAX = 8 * 1024 * 1024;

/** Takes a stream's text in pieces; tells whole events. */
export class SseParser {
  private rest = '';
  private id: string | undefined;
  private event = '';
  private data: string[] = [];
  private size = 0;

  /** Gives the events that end in this piece. Throws if one is larger than any could be. */
  push(piece: string): SseEvent[] {
    const lines = (this.rest + piece).split('\n');
    this.rest = lines.pop() ?? '';
    const events: SseEvent[] = [];
    for (const line of lines) {
      const ended = this.line(line.endsWith('\r') ? line.slice(0, -1) : line);
      if (ended) events.push(ended);
    }
    if (this.size + this.rest.length > EVENT_CHARACTERS_MAX)
      throw new Error('An event of the stream is too large.');
    return events;
  }

  private line(line: string): SseEvent | undefined {
    if (line === '') return this.end();
    if (line.startsWith(':')) return undefined;
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'id') this.id = value;
    else if (field === 'event') this.event = value;
    else if (field === 'data') {
      this.data.push(value);
      this.size += value.length;
    }
    return undefined;
  }

  private end(): SseEvent | undefined {
    const { event, data } = this;
    this.event = '';
    this.data = [];
    this.size = 0;
    if (data.length === 0 && event === '') return undefined;
    return { id: this.id, event: event === '' ? 'message' : event, data: data.join('\n') };
  }
}
