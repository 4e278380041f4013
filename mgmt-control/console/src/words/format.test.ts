import { describe, expect, it } from 'vitest';

import { ago, bytes, clock, listed, percent, plural, seconds } from './format';

describe('numbers', () => {
  it('gives bytes their unit', () => {
    expect([0, 1023, 1024, 1024 ** 3 - 1, 1.25 * 1024 ** 3, 200 * 1024 ** 4].map(bytes)).toEqual([
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.0 GiB',
      '1.3 GiB',
      '200 TiB',
    ]);
  });

  it('gives spans the unit that fits', () => {
    expect([0, 0.00002, 0.0051, 0.25, 3.4, 75, 600, 7500, 7200, 3 * 86_400].map(seconds)).toEqual([
      '0 s',
      '20 µs',
      '5.1 ms',
      '250 ms',
      '3.4 s',
      '75 s',
      '10 min',
      '2 h 5 min',
      '2 h',
      '3.0 d',
    ]);
  });

  it('shows small parts as more than nothing', () => {
    expect([0, 0.004, 0.45, 1].map(percent)).toEqual(['0 %', '0.4 %', '45 %', '100 %']);
  });

  it('counts in words', () => {
    expect([plural(1, 'call'), plural(1200, 'call'), plural(2, 'copy', 'copies')]).toEqual([
      '1 call',
      '1,200 calls',
      '2 copies',
    ]);
    expect([listed([]), listed(['a']), listed(['a', 'b']), listed(['a', 'b', 'c', 'd', 'e'])]).toEqual([
      '',
      'a',
      'a and b',
      'a, b, c and 2 more',
    ]);
  });
});

describe('times', () => {
  const now = new Date(2026, 2, 5, 12, 0, 0);

  it('tells how long ago, or when', () => {
    expect(ago(now.getTime() - 400, now.getTime())).toBe('now');
    expect(ago(now.getTime() - 5_900, now.getTime())).toBe('5 s ago');
    expect(ago(now.getTime() + 120_000, now.getTime())).toBe('in 2 min');
  });

  it('leaves out what is today', () => {
    expect(clock(new Date(2026, 2, 5, 9, 5, 7), now)).toBe('09:05:07');
    expect(clock(new Date(2026, 2, 4, 9, 5, 7), now)).toBe('4 Mar, 09:05:07');
    expect(clock(new Date(2025, 2, 4, 9, 5, 7), now)).toBe('4 Mar 2025, 09:05:07');
  });
});
