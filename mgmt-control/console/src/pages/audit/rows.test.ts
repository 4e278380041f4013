import { expect, it } from 'vitest';

import { csv, matches } from './rows';

const row = {
  sequence: 7,
  time: '2026-01-01T00:00:00Z',
  actor: '=cmd()',
  action: 'person.create',
  target: 'say "hi", all',
  result: 'done',
  detail: 'as User',
};

it('searches all words of a row', () => {
  expect(['user', 'PERSON', 'nobody', ''].map((search) => matches(row, search))).toEqual([
    true,
    true,
    false,
    true,
  ]);
});

it('writes rows so that a spreadsheet takes them for text', () => {
  expect(csv([row]).split('\r\n')[1]).toBe(
    `"7","2026-01-01T00:00:00Z","'=cmd()","person.create","say ""hi"", all","done","","as User"`,
  );
});
