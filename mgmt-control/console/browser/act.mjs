// Presses the buttons of a running controller's console with a real browser, and asks the API whether
// what was pressed has come about. Wants a supermarket with compute Hosts, as `gridmart up` starts it.
//
//   GRIDMART_TOKEN=… node browser/act.mjs http://127.0.0.1:7700
//
// With GRIDMART_BINARY (and GRIDMART_CA, as `gridmart env` sets it) a real call is made and killed; with
// GRIDMART_DATA, the folder of `gridmart up`, the controller is killed, which `up` starts again.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, mkdir, rm, writeFile, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

const [, , origin] = process.argv;
const token = process.env.GRIDMART_TOKEN;
if (!origin || !token) {
  console.error('usage: GRIDMART_TOKEN=… node browser/act.mjs URL');
  process.exit(2);
}

/** Asks the API beside the page, as a program does. */
async function api(path, options = {}) {
  const answer = await fetch(`${process.env.GRIDMART_URL ?? origin}/api/v1/${path}`, {
    ...options,
    headers: { authorization: `Bearer ${token}`, ...options.headers },
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? undefined : answer.json();
}

const DEADLINE_MS = 30_000;
/** More than one part. */
const FILE_BYTES = 20 * 1024 * 1024 + 7;

async function until(what, condition) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    if (await condition()) return;
    if (Date.now() > end) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function expect(what, found, wanted) {
  if (found !== wanted)
    throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
}

async function signIn(page) {
  await page.goto(`${origin}/resources?search=host`);
  await page.getByText('With token').click();
  await page.getByLabel('API token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('table', { name: 'Resources' }).waitFor();
  const { pathname, search } = new URL(page.url());
  expect('signing in leads back to', `${pathname}${search}`, '/resources?search=host');
}

/** What the role of the page's session may do. */
async function may(page) {
  return page.evaluate(async () => (await (await fetch('/api/v1/session')).json()).may);
}

/** Writes a statement in the place of what is in the editor, and runs it. */
async function statement(page, text) {
  const editor = page.getByRole('textbox', { name: 'SQL statement' });
  await editor.click();
  await page.keyboard.press('Control+a');
  await page.keyboard.insertText(text);
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+Enter');
}

const acts = {
  async 'a Host is stopped, and started again by undo'(page) {
    const { items } = await api('resources?kind=chost');
    const host = items.find(({ connected, desired }) => connected && desired === 'production');
    await page.goto(`${origin}/resources/${host.id}`);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click();
    await until(
      'the Host is closed',
      async () => (await api(`resources/${host.id}`)).wish.desired === 'closed',
    );
    await page.getByRole('button', { name: 'Undo' }).click();
    await until(
      'the Host takes work',
      async () => (await api(`resources/${host.id}`)).wish.desired === 'production',
    );
    await page.getByRole('button', { name: 'Stop' }).waitFor();
  },

  async 'a folder is uploaded, and is what was in it'(page, folder) {
    const version = `1.0.${Date.now()}`;
    await mkdir(join(folder, 'walker', 'bin'), { recursive: true });
    await writeFile(join(folder, 'walker', 'bin', 'run'), '#!/bin/sh\ncat\n');
    await writeFile(
      join(folder, 'walker', 'AEDoc.xml'),
      `<?xml version="1.0" encoding="UTF-8"?>
<AEDoc xmlns="urn:gridmart:rdm:1" Version="1">
  <Info><AppName>walker</AppName><AppVersion>${version}</AppVersion><Kind>task</Kind></Info>
  <AccessControlBase><Rule Operations="call">ALL</Rule></AccessControlBase>
  <Command><Executable>bin/run</Executable></Command>
</AEDoc>
`,
    );
    await page.goto(`${origin}/applications`);
    await page.getByRole('button', { name: 'Upload' }).click();
    const [chooser] = await Promise.all([
      page.waitForEvent('filechooser'),
      page.getByRole('dialog').getByRole('button', { name: 'Choose a folder' }).click(),
    ]);
    await chooser.setFiles(join(folder, 'walker'));
    await page.getByText(`walker ${version} is on the shelf.`).waitFor({ timeout: DEADLINE_MS });
    await page.getByRole('link', { name: 'Show it' }).click();
    await page.getByRole('heading', { name: 'walker' }).waitFor();
    await until('a Host has it', async () => {
      const { items } = await api('applications/walker');
      const made = items.find((one) => one.version === version);
      return made?.deployments.some(({ state }) => state === 'installedverified');
    });
  },

  async 'a package with another content is refused in words'(page, folder) {
    await writeFile(join(folder, 'no-package.tar'), 'this is no tar');
    await page.goto(`${origin}/applications`);
    await page.getByRole('button', { name: 'Upload' }).click();
    const [chooser] = await Promise.all([
      page.waitForEvent('filechooser'),
      page.getByRole('dialog').getByRole('button', { name: 'Choose a package' }).click(),
    ]);
    await chooser.setFiles(join(folder, 'no-package.tar'));
    await page.getByText('This is no package').waitFor();
  },

  async 'a token is made, shown once, and deleted'(page) {
    const label = `walker <b>${Date.now()}</b>`;
    await page.goto(`${origin}/people?tab=tokens`);
    await page.getByRole('button', { name: 'Make a token' }).click();
    await page.getByLabel('What it is for').fill(label);
    await page.getByRole('dialog').getByRole('button', { name: 'Make a token' }).click();
    const made = (await page.getByRole('dialog').locator('code').textContent()) ?? '';
    expect('a token begins with', made.slice(0, 5), 'gmt1.');
    const asked = await fetch(`${process.env.GRIDMART_URL ?? origin}/api/v1/whoami`, {
      headers: { authorization: `Bearer ${made}` },
    });
    expect('the token works', asked.status, 200);
    await page.getByRole('dialog').getByRole('button', { name: 'Done' }).click();
    await page.getByRole('button', { name: `Delete: ${label}` }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await until('the token is refused', async () => {
      const again = await fetch(`${process.env.GRIDMART_URL ?? origin}/api/v1/whoami`, {
        headers: { authorization: `Bearer ${made}` },
      });
      return again.status === 401;
    });
  },

  async 'a join token has a command to paste'(page) {
    await page.goto(`${origin}/people?tab=join`);
    await page.getByRole('button', { name: 'Make the command' }).click();
    await page.getByText('gridmart host compute --element').waitFor();
  },

  async 'arrows and Enter open a resource'(page) {
    await page.goto(`${origin}/resources`);
    const rows = page.getByRole('table', { name: 'Resources' }).locator('[data-index]');
    await rows.first().waitFor();
    await rows.first().focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await page.waitForFunction(() => document.activeElement?.getAttribute('data-index') === '2');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/resources\/[0-9a-f-]{36}/);
  },

  async 'a filter stands in the address, and survives reload and back'(page) {
    await page.goto(`${origin}/resources`);
    await page.getByLabel('Search', { exact: true }).fill('host-1');
    await page.waitForURL(/search=host-1/);
    await page.reload();
    expect('the field has', await page.getByLabel('Search', { exact: true }).inputValue(), 'host-1');
    await page.getByRole('link', { name: 'host-1' }).first().click();
    await page.getByRole('heading', { name: 'host-1' }).waitFor();
    await page.goBack();
    await page.waitForURL(/search=host-1/);
  },

  async 'a session that ends in the middle of work asks to sign in, and loses nothing'(
    page,
    _folder,
    context,
  ) {
    await page.goto(`${origin}/people`);
    await page.getByRole('button', { name: 'Add a person' }).click();
    await page.getByLabel('Name').fill('somebody');
    await page.getByLabel('New password').fill('a-long-password-1');
    await context.clearCookies();
    await page.getByRole('dialog').getByRole('button', { name: 'Add a person' }).click();
    const again = page.getByRole('dialog', { name: 'Sign in again' });
    await again.waitFor();
    await again.getByText('With token').click();
    await again.getByLabel('API token').fill(token);
    await again.getByRole('button', { name: 'Sign in' }).click();
    await again.waitFor({ state: 'hidden' });
    expect('what was typed', await page.getByLabel('Name').inputValue(), 'somebody');
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  },

  async 'what another does is shown without a reload'(page) {
    const { items } = await api('resources?kind=chost');
    const host = items.find(({ connected, desired }) => connected && desired === 'production');
    await page.goto(`${origin}/resources?kind=chost`);
    const row = page.getByRole('row').filter({ hasText: host.name });
    await row.getByText('Well').waitFor();
    try {
      await api(`resources/${host.id}/stop`, { method: 'POST' });
      await row.getByText('Stopped').waitFor();
    } finally {
      await api(`resources/${host.id}/start`, { method: 'POST' });
    }
    await row.getByText('Well').waitFor();
  },

  async 'a call that runs is shown, and killed by its button'(page) {
    const binary = process.env.GRIDMART_BINARY;
    if (!binary) return 'left out: no GRIDMART_BINARY';
    await page.goto(`${origin}/calls`);
    // It reads its input to the end, which does not come.
    const call = spawn(binary, ['call', 'walker', '--input', '-'], { stdio: ['pipe', 'ignore', 'pipe'] });
    const ended = new Promise((resolve) => call.on('exit', resolve));
    try {
      const row = page.getByRole('table', { name: 'Now' }).getByRole('row').filter({ hasText: 'walker' });
      await row.getByRole('button', { name: 'Kill' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Kill' }).click();
      const code = await Promise.race([
        ended,
        new Promise((resolve) => setTimeout(() => resolve('still there'), DEADLINE_MS)),
      ]);
      if (code === 0 || code === 'still there') throw new Error(`the call was not cut: ${code}`);
      await row.waitFor({ state: 'hidden' });
    } finally {
      call.kill();
    }
    return undefined;
  },

  async 'a storage Host is to be emptied, and that is taken back'(page) {
    const { items } = await api('resources?kind=se');
    const element = items.find(({ connected }) => connected);
    if (!element) return 'left out: no storage';
    await page.goto(`${origin}/resources/${element.id}/layout`);
    await page.getByRole('button', { name: 'Empty it' }).first().click();
    await page.getByRole('heading', { name: 'A change is staged' }).waitFor();
    await until(
      'it is staged',
      async () => (await api(`resources/${element.id}/layout`)).staged?.layout.drain.length === 1,
    );
    await page.getByRole('button', { name: /^Take it back/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Take it back' }).click();
    await page.getByRole('button', { name: 'Spread blocks evenly' }).waitFor();
    expect('what is staged', (await api(`resources/${element.id}/layout`)).staged, undefined);
    return undefined;
  },

  async 'a file is put in parts, drawn as its blocks, read back and deleted'(page, folder) {
    if (!(await may(page)).includes('UploadBegin'))
      return 'left out: this controller has no gateway to buckets';
    const { items } = await api('resources?kind=se');
    if (items.length === 0) return 'left out: no storage';
    const bucket = `walker-${Date.now()}`;
    const content = randomBytes(FILE_BYTES);
    await writeFile(join(folder, 'walk <b>er.bin'), content);
    await page.goto(`${origin}/files`);
    await page.getByRole('button', { name: 'Make a bucket' }).click();
    await page.getByLabel('Name').fill(bucket);
    await page.getByRole('dialog').getByRole('button', { name: 'Make a bucket' }).click();
    await page.getByRole('link', { name: bucket }).click();
    const [chooser] = await Promise.all([
      page.waitForEvent('filechooser'),
      page.getByRole('button', { name: 'Upload' }).click(),
    ]);
    await chooser.setFiles(join(folder, 'walk <b>er.bin'));
    const row = page.getByRole('table', { name: 'Objects' }).getByRole('link', { name: 'walk <b>er.bin' });
    await row.click({ timeout: 4 * DEADLINE_MS });
    await page.getByRole('heading', { name: 'Stripes and their blocks' }).waitFor();
    await page.getByText('Parity or copy').first().waitFor();
    const [download] = await Promise.all([
      page.waitForEvent('download', { timeout: 2 * DEADLINE_MS }),
      page.getByRole('link', { name: 'Download' }).click(),
    ]);
    const back = await readFile(await download.path());
    expect('the bytes that came back are the same', Buffer.compare(back, content), 0);
    await page.getByRole('button', { name: 'Delete: walk <b>er.bin' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.getByText('Nothing is here yet').waitFor();
    await until('the bucket is empty', async () => {
      const { buckets } = await api('buckets');
      return buckets.find(({ area }) => area.name === bucket)?.area.state.number_of_files === 0;
    });
    await api(`buckets/${bucket}`, { method: 'DELETE' });
    return undefined;
  },

  async 'a statement gives a table and CSV, and a refused one says why'(page) {
    if (!(await may(page)).includes('StatementRun'))
      return 'left out: this controller has no gateway to databases';
    const { items } = await api('resources?kind=de');
    if (items.length === 0) return 'left out: no databases';
    const name = `walker${Date.now()}`;
    const body = JSON.stringify({ name });
    await api('databases', { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    try {
      await page.goto(`${origin}/data/${name}`);
      await statement(page, 'CREATE TABLE goods (id bigint PRIMARY KEY, word text)');
      await page.getByText('CREATE TABLE', { exact: false }).last().waitFor();
      await statement(page, "INSERT INTO goods VALUES (1, '<b>nut</b>'), (2, NULL)");
      await page.getByText('INSERT: 2 rows changed').waitFor();
      await statement(page, 'SELECT id, word FROM goods ORDER BY id');
      const result = page.getByRole('table', { name: 'Result' });
      await result.getByText('<b>nut</b>').waitFor();
      await result.getByText('NULL').waitFor();
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('button', { name: 'All rows as CSV' }).click(),
      ]);
      const csv = await readFile(await download.path(), 'utf8');
      expect('the CSV', csv, 'id,word\r\n1,<b>nut</b>\r\n2,\r\n');
      await statement(page, 'SELECT nothing FROM goods');
      await page.getByRole('alert').getByText('42703').waitFor();
    } finally {
      await api(`databases/${name}`, { method: 'DELETE' });
    }
    return undefined;
  },

  async 'a controller that is killed shows as lost, and heals by itself'(page) {
    const data = process.env.GRIDMART_DATA;
    if (!data) return 'left out: no GRIDMART_DATA';
    await page.goto(`${origin}/`);
    const live = page.getByText('Live', { exact: true });
    await live.waitFor();
    const { pid } = JSON.parse(await readFile(join(data, 'control', 'ready.json'), 'utf8'));
    process.kill(pid, 'SIGKILL');
    await page.getByText(/^Lost/).waitFor();
    await live.waitFor({ timeout: 2 * DEADLINE_MS });
    return undefined;
  },

  async 'a viewer is offered nothing that a viewer may not do'(page, _folder, _context, browser) {
    const name = `viewer-${Date.now()}`;
    const password = randomBytes(18).toString('base64');
    const body = JSON.stringify({ name, role: 'viewer', password });
    await api('people', { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    const own = await browser.newContext();
    try {
      const shown = await own.newPage();
      shown.setDefaultTimeout(DEADLINE_MS);
      await shown.goto(`${origin}/audit`);
      await shown.getByLabel('Name').fill(name);
      await shown.getByRole('textbox', { name: /Password/ }).fill(password);
      await shown.getByRole('button', { name: 'Sign in' }).click();
      await shown.getByText('Your role does not allow this page').waitFor();
      expect('links to the audit log', await shown.getByRole('link', { name: 'Audit' }).count(), 0);
      const { items } = await api('resources?kind=chost');
      await shown.goto(`${origin}/resources/${items[0].id}`);
      await shown.getByRole('tab', { name: 'State' }).waitFor();
      expect('buttons to stop', await shown.getByRole('button', { name: 'Stop' }).count(), 0);
      const status = await shown.evaluate(
        async (id) => (await fetch(`/api/v1/resources/${id}/stop`, { method: 'POST' })).status,
        items[0].id,
      );
      expect('a stop without proof and role', status, 403);
    } finally {
      await own.close();
      const closed = JSON.stringify({ enabled: false });
      await api(`people/${name}`, {
        method: 'PATCH',
        body: closed,
        headers: { 'content-type': 'application/json' },
      });
    }
  },

  async 'signing out leads to the form, and back to where one was'(page) {
    await page.goto(`${origin}/audit`);
    await page.getByRole('button', { name: /Your account/ }).click();
    await page.getByRole('menuitem', { name: 'Sign out' }).click();
    await page.waitForURL(/sign-in\?next=%2Faudit/);
  },
};

const folder = await mkdtemp(join(tmpdir(), 'console-act-'));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
let failed = 0;
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  await signIn(page);
  for (const [name, act] of Object.entries(acts)) {
    try {
      const note = await act(page, folder, context, browser);
      console.log(`ok    ${name}${note ? ` (${note})` : ''}`);
    } catch (error) {
      failed += 1;
      console.error(`FAIL  ${name}: ${error.message}`);
      await page.screenshot({ path: join(tmpdir(), 'console-act-failed.png') }).catch(() => undefined);
    }
  }
} finally {
  await browser.close();
  await rm(folder, { recursive: true, force: true });
}
process.exit(failed === 0 ? 0 : 1);
