import { describe, expect, it } from 'vitest';

import { nextSort } from './column';
import { rowAfterKey } from './useRowKeys';

describe('a table', () => {
  it('sorts the other way round at the second press', () => {
    const first = nextSort(undefined, 'name');
    expect(first).toEqual({ by: 'name', descending: false });
    expect(nextSort(first, 'name')).toEqual({ by: 'name', descending: true });
    expect(nextSort({ by: 'name', descending: true }, 'kind')).toEqual({ by: 'kind', descending: false });
  });

  it('leads the arrow keys from row to row, and not beyond', () => {
    expect(rowAfterKey('ArrowDown', 4, 5)).toBe(4);
    expect(rowAfterKey('ArrowUp', 0, 5)).toBe(0);
    expect(rowAfterKey('PageDown', 3, 100)).toBe(13);
    expect(rowAfterKey('End', 3, 100)).toBe(99);
    expect(rowAfterKey('x', 3, 100)).toBeUndefined();
  });
});
