// Presses the buttons of a running controller's console with a real browser, and asks the API and the
// command line whether what was pressed has come about.
//
//   GRIDMART_TOKEN=… node browser/act.mjs http://127.0.0.1:7700 [PART-OF-A-NAME]…
//
// Wants a supermarket with compute Hosts. What needs more (storage, a database, the command line in
// GRIDMART_BINARY with GRIDMART_CA, commands in GRIDMART_KILL and GRIDMART_START that end and start the
// controller) is left out where it is not there, and counted. Pictures of what failed are left in
// GRIDMART_PICTURES.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { DEADLINE_MS, demand, expect, launch, origin, signIn } from './market.mjs';
import { acts as applications } from './acts/applications.mjs';
import { acts as calls } from './acts/calls.mjs';
import { acts as data } from './acts/data.mjs';
import { acts as days } from './acts/days.mjs';
import { acts as files } from './acts/files.mjs';
import { acts as people } from './acts/people.mjs';
import { acts as resources } from './acts/resources.mjs';
import { acts as session } from './acts/session.mjs';
import { acts as strangers } from './acts/strangers.mjs';

demand('node browser/act.mjs URL [PART-OF-A-NAME]…');
const wanted = process.argv.slice(3);
const acts = Object.entries({
  ...resources,
  ...applications,
  ...calls,
  ...files,
  ...data,
  ...people,
  ...strangers,
  ...days,
  ...session,
}).filter(([name]) => wanted.length === 0 || wanted.some((part) => name.includes(part)));

const pictures = process.env.GRIDMART_PICTURES ?? tmpdir();
await mkdir(pictures, { recursive: true });
const folder = await mkdtemp(join(tmpdir(), 'console-act-'));
const browser = await launch();
const count = { passed: 0, failed: 0, skipped: 0 };
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  await page.goto(`${origin}/resources?search=host`);
  await signIn(page);
  await page.getByRole('table', { name: 'Resources' }).waitFor();
  const { pathname, search } = new URL(page.url());
  expect('signing in leads back to', `${pathname}${search}`, '/resources?search=host');
  for (const [name, act] of acts) {
    const began = Date.now();
    const seconds = () => ((Date.now() - began) / 1000).toFixed(1);
    try {
      const leftOut = await act(page, { folder, context, browser });
      count[leftOut ? 'skipped' : 'passed'] += 1;
      console.log(leftOut ? `skip  ${name}: ${leftOut}` : `ok    ${name} (${seconds()} s)`);
    } catch (error) {
      count.failed += 1;
      console.log(`FAIL  ${name} (${seconds()} s) at ${page.url()}: ${error.message}`);
      const picture = join(pictures, `failed-${count.failed}.png`);
      await page.screenshot({ path: picture }).catch(() => undefined);
    }
  }
} finally {
  await browser.close();
  await rm(folder, { recursive: true, force: true });
}
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
process.exit(count.failed === 0 ? 0 : 1);
