import { readFile } from 'node:fs/promises';

import { api, cli, download, expect, may, origin, send } from '../market.mjs';

/** Writes a statement in the place of what is in the editor, and runs it. */
export async function statement(page, text) {
  const editor = page.getByRole('textbox', { name: 'SQL statement' });
  await editor.click();
  await page.keyboard.press('Control+a');
  await page.keyboard.insertText(text);
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+Enter');
}

/** The line that says what a statement has done. */
export function result(page, text) {
  return page.getByRole('status').filter({ hasText: text });
}

/** Makes a database for as long as something is done with it; gives why there is none. */
export async function withDatabase(page, act) {
  if (!(await may(page)).includes('StatementRun')) return 'this controller has no gateway to databases';
  const { items } = await api('resources?kind=de');
  if (items.length === 0) return 'no databases';
  const name = `walker${Date.now()}`;
  await send('POST', 'databases', { name });
  try {
    await page.goto(`${origin}/data/${name}`);
    await act(name);
  } finally {
    await api(`databases/${name}`, { method: 'DELETE' });
  }
  return undefined;
}

export const acts = {
  'a statement gives a table and CSV, and a refused one says why': (page) =>
    withDatabase(page, async (name) => {
      await statement(page, 'CREATE TABLE goods (id bigint PRIMARY KEY, word text)');
      await result(page, 'CREATE TABLE').waitFor();
      await statement(page, "INSERT INTO goods VALUES (1, '<b>nut</b>'), (2, NULL)");
      await result(page, 'INSERT: 2 rows changed').waitFor();
      await statement(page, 'SELECT id, word FROM goods ORDER BY id');
      const table = page.getByRole('table', { name: 'Result' });
      await table.getByText('<b>nut</b>').waitFor();
      await table.getByText('NULL').waitFor();
      const file = await download(page, page.getByRole('button', { name: 'All rows as CSV' }));
      expect('the CSV', await readFile(file, 'utf8'), 'id,word\r\n1,<b>nut</b>\r\n2,\r\n');
      const printed = await cli(['sql', name, 'SELECT word FROM goods WHERE id = 1', '--csv']);
      if (printed) expect('the command line has', printed.toString().trim(), 'word\n<b>nut</b>');
      await statement(page, 'SELECT nothing FROM goods');
      await page.getByRole('alert').getByText('42703').waitFor();
    }),
};
