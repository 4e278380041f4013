// What the scripts beside this one share: the supermarket that they are told of, its API, its command
// line, and a browser.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { chromium } from 'playwright-core';

const [, , address] = process.argv;

/** Of the page. */
export const origin = address;
/** An admin's. */
export const token = process.env.GRIDMART_TOKEN;
/** Of the API: the same, unless the page is served by another (Vite). */
export const url = process.env.GRIDMART_URL ?? origin;

/** For what comes about on a machine that does much else. */
export const DEADLINE_MS = 60_000;

/** Ends the script where it was not told enough. */
export function demand(usage, ...words) {
  if (origin && token && !words.includes(undefined)) return;
  console.error(`usage: GRIDMART_TOKEN=… ${usage}`);
  process.exit(2);
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
}

/** Asks the API beside the page, as a program does. */
export async function api(path, options = {}) {
  const answer = await fetch(`${url}/api/v1/${path}`, {
    ...options,
    headers: { authorization: `Bearer ${token}`, ...options.headers },
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? undefined : answer.json();
}

/** The same with a body. */
export function send(method, path, body) {
  const headers = { 'content-type': 'application/json' };
  return api(path, { method, body: JSON.stringify(body), headers });
}

/** Where `gridmart` is, if that was said. */
export const binary = process.env.GRIDMART_BINARY;

const OUTPUT_MAX = 64 * 1024 * 1024;

/**
 * What the command line says to the same question: the effect of a button is seen there as well. Gives
 * what it printed, as bytes; `undefined` if there is no command line.
 */
export async function cli(words, environment = {}) {
  if (!binary) return undefined;
  const env = { ...process.env, GRIDMART_URL: url, ...environment };
  const options = { env, encoding: 'buffer', maxBuffer: OUTPUT_MAX };
  const { stdout } = await promisify(execFile)(binary, words, options);
  return stdout;
}

/** The same as JSON. */
export async function told(...words) {
  const printed = await cli(['--json', ...words]);
  return printed && JSON.parse(printed.toString());
}

/** Runs a command that the environment names; `false` if it names none. */
export async function run(name) {
  const command = process.env[name];
  if (!command) return false;
  await promisify(execFile)('bash', ['-c', command]);
  return true;
}

export async function until(what, condition) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    if (await condition()) return;
    if (Date.now() > end) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

export function expect(what, found, wanted) {
  if (found !== wanted)
    throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
}

/** Fills in the form that is shown, on its page or over another one. */
export async function signIn(form) {
  await form.getByText('With token').click();
  await form.getByLabel('API token').fill(token);
  await form.getByRole('button', { name: 'Sign in' }).click();
}

/** What the role of the page's session may do. */
export function may(page) {
  return page.evaluate(async () => (await (await fetch('/api/v1/session')).json()).may);
}

/** A compute Host that takes work. */
export async function workingHost() {
  const { items } = await api('resources?kind=chost');
  const host = items.find(({ connected, desired }) => connected && desired === 'production');
  if (!host) throw new Error('this supermarket has no compute Host that takes work');
  return host;
}

/** Presses what opens a chooser of files, and chooses. */
export async function choose(page, button, files) {
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), button.click()]);
  await chooser.setFiles(files);
}

/** Presses what begins a download, and gives the bytes' path. */
export async function download(page, button) {
  const [begun] = await Promise.all([
    page.waitForEvent('download', { timeout: 2 * DEADLINE_MS }),
    button.click(),
  ]);
  return begun.path();
}
