import { describe, expect, it } from 'vitest';

import { LINES_MAX, matches, merge, type Read } from './logLines';

const line = (time: string, text: string) => ({ time, call: 'c1', owner: 'a', text });
const nothing: Read = { lines: [], cursors: {} };

describe('what an application printed', () => {
  it('is put together from all Hosts, in the order of time', () => {
    const read = merge(nothing, {
      hosts: {
        b: { cursor: 7, lines: [line('2026-01-01T00:00:02Z', 'second')], gap: true },
        a: { cursor: 9, lines: [line('2026-01-01T00:00:01Z', 'first')] },
      },
    });
    expect(read.lines.map(({ text, gap }) => [text, gap])).toEqual([
      ['first', false],
      ['second', true],
    ]);
    expect(read.cursors).toEqual({ a: 9, b: 7 });
    expect(merge(read, { hosts: { a: { cursor: 9, lines: [] } } }).lines).toBe(read.lines);
  });

  it('is bounded', () => {
    const many = Array.from({ length: LINES_MAX + 10 }, (_, index) =>
      line('2026-01-01T00:00:00Z', String(index)),
    );
    const { lines } = merge(nothing, { hosts: { a: { cursor: 1, lines: many } } });
    expect(lines).toHaveLength(LINES_MAX);
    expect(lines[0]?.text).toBe('10');
  });

  it('is searched whatever the case', () => {
    const [one] = merge(nothing, {
      hosts: { a: { cursor: 1, lines: [line('2026-01-01T00:00:00Z', 'Out of Memory')] } },
    }).lines;
    expect(one && [matches(one, ' memory '), matches(one, 'disk'), matches(one, '')]).toEqual([
      true,
      false,
      true,
    ]);
  });
});
