import { expect, it } from 'vitest';

import { schemaOf, tablesOf } from './tables';

it('puts tables together from their columns', () => {
  const schema = schemaOf({
    rows: [
      ['orders', 'id', 'bigint'],
      ['orders', 'article', 'text'],
      ['notes', 'line', null],
      [null, 'lost', null],
    ],
  });
  expect(schema).toEqual({
    orders: [
      { name: 'id', type: 'bigint' },
      { name: 'article', type: 'text' },
    ],
    notes: [{ name: 'line', type: '' }],
  });
  expect(tablesOf(schema)).toEqual({ orders: ['id', 'article'], notes: ['line'] });
});
