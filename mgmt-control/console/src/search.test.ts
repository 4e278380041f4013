import { describe, expect, it } from 'vitest';

import { condition, flag, kind, parseSearch, resourceSort, stringifySearch, text } from './search';

describe('a query string', () => {
  it('says what was meant, and comes back the same', () => {
    for (const search of [
      { version: '1.0' },
      { search: 'a&b=<c>?', descending: true },
      { key: 'ü/2026 "x"' },
      {},
    ]) {
      const read = parseSearch(stringifySearch(search));
      expect(Object.entries(read)).toEqual(
        Object.entries(search).map(([name, value]) => [name, String(value)]),
      );
    }
    expect(stringifySearch({ version: '1.0', state: undefined, search: '', descending: false })).toBe(
      '?version=1.0',
    );
  });

  it('counts as absent where it is not of the expected form', () => {
    expect([kind('ce'), kind('toString'), kind(7)]).toEqual(['ce', undefined, undefined]);
    expect([condition('away'), condition('far')]).toEqual(['away', undefined]);
    expect([resourceSort('name'), resourceSort('secret')]).toEqual(['name', undefined]);
    expect([flag('true'), flag('1'), text(''), text('x')]).toEqual([true, undefined, undefined, 'x']);
  });
});
