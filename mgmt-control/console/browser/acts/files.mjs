import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { DEADLINE_MS, api, choose, cli, download, expect, may, origin, until } from '../market.mjs';

/** More than one part. */
const FILE_BYTES = 20 * 1024 * 1024 + 7;
const KEY = 'walk <b>er.bin';

export const acts = {
  async 'a file is put in parts, drawn as its blocks, read back and deleted'(page, { folder }) {
    if (!(await may(page)).includes('UploadBegin')) return 'this controller has no gateway to buckets';
    const { items } = await api('resources?kind=se');
    if (items.length === 0) return 'no storage';
    const bucket = `walker-${Date.now()}`;
    const content = randomBytes(FILE_BYTES);
    await writeFile(join(folder, KEY), content);
    await page.goto(`${origin}/files`);
    await page.getByRole('button', { name: 'Make a bucket' }).click();
    await page.getByLabel('Name').fill(bucket);
    await page.getByRole('dialog').getByRole('button', { name: 'Make a bucket' }).click();
    await page.getByRole('link', { name: bucket }).click();
    await choose(page, page.getByRole('button', { name: 'Upload' }), join(folder, KEY));
    const row = page.getByRole('table', { name: 'Objects' }).getByRole('link', { name: KEY });
    await row.click({ timeout: 4 * DEADLINE_MS });
    await page.getByRole('heading', { name: 'Stripes and their blocks' }).waitFor();
    await page.getByText('Parity or copy').first().waitFor();
    const back = await readFile(await download(page, page.getByRole('link', { name: 'Download' })));
    expect('the bytes that came back are the same', Buffer.compare(back, content), 0);
    const printed = await cli(['get', `${bucket}/${KEY}`, '-']);
    if (printed) expect('so are those of the command line', Buffer.compare(printed, content), 0);
    await page.getByRole('button', { name: `Delete: ${KEY}` }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.getByText('Nothing is here yet').waitFor();
    await until('the bucket is empty', async () => {
      const { buckets } = await api('buckets');
      return buckets.find(({ area }) => area.name === bucket)?.area.state.number_of_files === 0;
    });
    const listed = await cli(['ls', bucket]);
    if (listed) expect('what the command line lists', listed.toString(), '');
    await api(`buckets/${bucket}`, { method: 'DELETE' });
    return undefined;
  },
};
