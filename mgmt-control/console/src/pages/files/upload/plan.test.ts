import { describe, expect, it } from 'vitest';

import { missing, plan } from './plan';

describe('the parts of a file', () => {
  it('cover it, without a gap', () => {
    expect(plan(25, 10)).toEqual([
      { number: 1, from: 0, to: 10 },
      { number: 2, from: 10, to: 20 },
      { number: 3, from: 20, to: 25 },
    ]);
    expect(plan(20, 10)).toHaveLength(2);
    expect(plan(0, 10)).toEqual([{ number: 1, from: 0, to: 0 }]);
  });

  it('are larger where there would be too many', () => {
    const parts = plan(100_000_000, 1_000);
    expect(parts.length).toBeLessThanOrEqual(10_000);
    expect(parts.at(-1)?.to).toBe(100_000_000);
  });

  it('are sent again unless they are there as a whole', () => {
    const parts = plan(25, 10);
    const there = [
      { number: 1, size: 10 },
      { number: 2, size: 7 },
    ];
    expect(missing(parts, there).map(({ number }) => number)).toEqual([2, 3]);
  });
});
