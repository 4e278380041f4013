import { expect, it } from 'vitest';

import { learn } from './tables';

const result = (...names: string[]) => ({
  tag: 'SELECT',
  columns: names.map((name) => ({ name, type: 'text' })),
});

it('learns tables and columns from what was run', () => {
  const first = learn({}, 'SELECT id, word FROM goods ORDER BY id', result('id', 'word'));
  expect(first).toEqual({ goods: ['id', 'word'] });
  expect(learn(first, 'select price from Goods', result('price'))).toEqual({
    goods: ['id', 'word', 'price'],
  });
  expect(
    learn({}, 'CREATE TABLE IF NOT EXISTS notes (line text)', { tag: 'CREATE TABLE', columns: [] }),
  ).toEqual({ notes: [] });
  const joined = learn({}, 'SELECT * FROM a JOIN b USING (id)', result('id'));
  expect(joined).toEqual({ a: [], b: [] });
});
