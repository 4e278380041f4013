// What others give: names with markup, and pages of other origins that press buttons here.
import { createServer } from 'node:http';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { api, cli, expect, origin, send, told, until, workingHost } from '../market.mjs';

/** Markup that would say so, emoji, another writing direction; of 200 characters. */
const HOSTILE = `<img src=x onerror="window.pwned=1"> 🐘👩‍🚀 שלום عربي &amp; %3Cb%3E ${'x'.repeat(200)}`;
const NAMES = [
  `${HOSTILE.slice(0, 199)}…`,
  '"><script>window.pwned=1</script>',
  '{{7*7}}${7*7}',
  'a\u202Egnp.exe',
];

async function isHarmless(page, where) {
  const found = await page.evaluate(() => ({
    pwned: window.pwned,
    images: document.querySelectorAll('img[src="x"]').length,
    wide: document.documentElement.scrollWidth - window.innerWidth,
  }));
  expect(`what a name has done at ${where}`, found.pwned, undefined);
  expect(`images that a name has made at ${where}`, found.images, 0);
  expect(`pixels beyond the edge at ${where}`, Math.max(found.wide, 1), 1);
}

/** A page of another origin of the same machine: cookies that are bound to the site go along with it. */
function stranger(target) {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(`<form method="post" action="${target}" enctype="text/plain" target="gone">
      <button>Win a prize</button></form><iframe name="gone"></iframe>`);
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

export const acts = {
  async 'names with markup, emoji and other directions are text on every page'(page, { folder }) {
    await page.setViewportSize({ width: 390, height: 844 });
    try {
      for (const name of NAMES) {
        const label = name.slice(0, 60);
        const { id } = await send('POST', 'api-tokens', { label });
        await page.goto(`${origin}/people?tab=tokens`);
        await page.getByRole('button', { name: 'Make a token' }).waitFor();
        await page.getByText(label, { exact: true }).first().waitFor();
        await isHarmless(page, 'tokens');
        await api(`api-tokens/${id}`, { method: 'DELETE' });
      }
      // What has rules for its names is told of in the answers, as if it had none.
      await page.route(/api\/v1\/(resources|overview|applications|calls)/, async (route) => {
        const answer = await route.fetch();
        const text = await answer.text();
        const name = JSON.stringify(HOSTILE).slice(1, -1);
        await route.fulfill({
          response: answer,
          body: text.replaceAll(/"name":"[^"]*"/g, `"name":"${name}"`),
        });
      });
      for (const path of ['/', '/resources', '/applications', '/calls', '/map']) {
        await page.goto(`${origin}${path}`);
        await page.getByRole('heading', { level: 1 }).first().waitFor();
        await page.waitForFunction(() => !document.querySelector('[aria-label="Loading"]'));
        await isHarmless(page, path);
      }
      await page.unroute(/api\/v1\/(resources|overview|applications|calls)/);
      const { buckets } = await api('buckets');
      if (buckets.length === 0 || !(await cli(['whoami']))) return undefined;
      const bucket = buckets[0].area.name;
      await writeFile(join(folder, 'hostile'), 'nothing');
      for (const name of NAMES) {
        await cli(['put', join(folder, 'hostile'), `${bucket}/hostile/${name.replaceAll('/', '|')}`]);
      }
      await page.goto(`${origin}/files/${bucket}?prefix=${encodeURIComponent('hostile/')}`);
      await page.getByRole('link', { name: NAMES[2] }).waitFor();
      await isHarmless(page, 'objects');
    } finally {
      await page.unrouteAll({ behavior: 'ignoreErrors' });
      await page.setViewportSize({ width: 1280, height: 800 });
    }
    return undefined;
  },

  async 'a page of another origin presses no button here'(_page, { context }) {
    const host = await workingHost();
    const target = `${origin}/api/v1/resources/${host.id}/stop`;
    const server = await stranger(target);
    const page = await context.newPage();
    try {
      await page.goto(`http://127.0.0.1:${server.address().port}/`);
      const [answer] = await Promise.all([
        page.waitForResponse((response) => response.url() === target),
        page.getByRole('button', { name: 'Win a prize' }).click(),
      ]);
      expect('a form of another origin is answered', answer.status(), 403);
      const scripts = await page.evaluate(async (at) => {
        const tries = [
          { method: 'POST', mode: 'no-cors', credentials: 'include' },
          { method: 'POST', credentials: 'include', headers: { 'x-gridmart-csrf': 'guessed' } },
          { method: 'GET', credentials: 'include' },
        ];
        const said = [];
        for (const options of tries) {
          said.push(
            await fetch(at, options).then(
              ({ type, status }) => `${type} ${status}`,
              () => 'refused',
            ),
          );
        }
        return said.join(', ');
      }, target);
      expect('what a script of another origin can read', scripts, 'opaque 0, refused, refused');
      await until('the Host takes work', async () => {
        const { wish } = await api(`resources/${host.id}`);
        return wish.desired === 'production';
      });
      const shown = await told('show', host.name);
      if (shown) expect('the command line says', shown.wish.desired, 'production');
    } finally {
      await page.close();
      server.close();
    }
  },
};
