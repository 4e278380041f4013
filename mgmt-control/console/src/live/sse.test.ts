import { describe, expect, it } from 'vitest';

import { SseParser } from './sse';

describe('the stream parser', () => {
  it('puts events together from pieces of any length', () => {
    const text = 'id: 7-1\nevent: overview\ndata: {"a":\ndata: 1}\n\n: still here\n\ndata: x\r\n\r\n';
    for (const length of [1, 2, 3, 7, text.length]) {
      const parser = new SseParser();
      const events = [];
      for (let at = 0; at < text.length; at += length)
        events.push(...parser.push(text.slice(at, at + length)));
      expect(events).toEqual([
        { id: '7-1', event: 'overview', data: '{"a":\n1}' },
        { id: '7-1', event: 'message', data: 'x' },
      ]);
    }
  });

  it('tells an event without data, as a reset is', () => {
    expect(new SseParser().push('event: reset\n\n')).toEqual([{ id: undefined, event: 'reset', data: '' }]);
  });

  it('does not swell without bound', () => {
    const parser = new SseParser();
    expect(() => {
      for (let piece = 0; piece < 20; piece += 1) parser.push(`data: ${'x'.repeat(1024 * 1024)}\n`);
    }).toThrow('too large');
  });
});
