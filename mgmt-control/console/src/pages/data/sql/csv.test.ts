import { expect, it } from 'vitest';

import { canSave, csvOf } from './csv';

const columns = [
  { name: 'id', type: 'bigint' },
  { name: 'a "word"', type: 'text' },
];

it('writes rows as the server does', () => {
  const rows = [
    ['1', null],
    ['2', ''],
    ['3', 'x, y'],
  ];
  expect(csvOf({ columns, rows })).toBe('id,"a ""word"""\r\n1,\r\n2,""\r\n3,"x, y"\r\n');
});

it('never runs a change a second time', () => {
  expect(canSave({ columns, is_cut: true, tag: 'INSERT' })).toBe(false);
  expect(canSave({ columns, is_cut: true, tag: 'SELECT' })).toBe(true);
  expect(canSave({ columns, is_cut: false, tag: 'INSERT' })).toBe(true);
  expect(canSave({ columns: [], is_cut: false, tag: 'CREATE TABLE' })).toBe(false);
});
