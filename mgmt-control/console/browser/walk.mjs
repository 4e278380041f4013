// Signs in to a running controller with a real browser, looks at every page at two widths, and leaves
// a picture of each in a folder. Ends with an error if a page logs one, breaks the page's policy, is
// wider than the screen, or fails axe where it is serious.
//
//   GRIDMART_TOKEN=… node browser/walk.mjs http://127.0.0.1:7700 /tmp/pictures [NAME-PART]
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

import { addresses } from './addresses.mjs';
import { demand, launch, origin, signIn } from './market.mjs';

const [, , , folder, only = ''] = process.argv;
demand('node browser/walk.mjs URL FOLDER [NAME-PART]', folder);

const WIDTHS = [
  { name: '1280', width: 1280, height: 800 },
  { name: '390', width: 390, height: 844 },
];
const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SETTLED_MS = 15_000;
const TALL_MAX = 2600;
/** Height of what stands above the content. */
const HEAD = 52;

const complaints = [];

/** What the page has to be when it has settled: nothing grey any more, nothing beyond the edge. */
async function look(page, name) {
  await page
    .waitForFunction(
      () => document.querySelector('#root h1') && !document.querySelector('[aria-label="Loading"]'),
      null,
      {
        timeout: SETTLED_MS,
      },
    )
    .catch(() => complaints.push(`${name}: it is still loading after ${SETTLED_MS} ms`));
  const { width, height } = page.viewportSize();
  const content = await page.evaluate(() => document.getElementById('content')?.scrollHeight ?? 0);
  // The whole of a long page on one picture.
  await page.setViewportSize({ width, height: Math.min(TALL_MAX, Math.max(height, content + HEAD)) });
  await page.waitForTimeout(400);
  await page.screenshot({ path: `${folder}/${name}.png` });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  if (wide > 1) complaints.push(`${name}: ${wide} pixels wider than the screen`);
  await page.evaluate(`${AXE}; undefined`);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  for (const { id, impact, nodes } of violations) {
    const where = nodes
      .slice(0, 3)
      .map(({ target, failureSummary }) => `${target} (${failureSummary?.split('\n')[1]?.trim()})`);
    const line = `${name}: axe ${impact} ${id}: ${where.join('; ')}`;
    if (impact === 'serious' || impact === 'critical') complaints.push(line);
    else console.log(`  ${line}`);
  }
  await page.setViewportSize({ width, height });
}

function listen(page, name) {
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${name()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`${name()}: ${error.message}`));
}

await mkdir(folder, { recursive: true });
const browser = await launch();
try {
  for (const scheme of ['light', 'dark']) {
    for (const { name: width, ...viewport } of WIDTHS) {
      const context = await browser.newContext({ viewport, colorScheme: scheme });
      const page = await context.newPage();
      let at = 'sign-in';
      const called = () => `${at}-${width}${scheme === 'dark' ? '-dark' : ''}`;
      listen(page, called);
      // A page that nobody has signed in to asks who is there, and is told 401, which the browser logs.
      await page.goto(`${origin}/sign-in`);
      await page.waitForSelector('form');
      if (scheme === 'light') await look(page, called());
      await signIn(page);
      await page.waitForSelector('#content');
      complaints.splice(0, complaints.length, ...complaints.filter((line) => !/sign-in.*401/.test(line)));
      for (const { name, path, act } of await addresses(page, scheme)) {
        if (!name.includes(only)) continue;
        at = name;
        await page.goto(`${origin}${path}`);
        if (act) await act(page);
        await look(page, called());
        console.log(`${called()}: ${path}`);
      }
      await context.close();
    }
  }
} finally {
  await browser.close();
}
complaints.forEach((line) => console.error(`! ${line}`));
console.log(`${complaints.length} complaints`);
process.exit(complaints.length === 0 ? 0 : 1);
