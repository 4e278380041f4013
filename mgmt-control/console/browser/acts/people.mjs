import { randomBytes } from 'node:crypto';

import { DEADLINE_MS, api, expect, origin, send, told, until, url } from '../market.mjs';

/** What a token is answered with. */
async function statusOf(token) {
  const answer = await fetch(`${url}/api/v1/whoami`, { headers: { authorization: `Bearer ${token}` } });
  return answer.status;
}

export const acts = {
  async 'a token is made, shown once, and deleted'(page) {
    const label = `walker <b>${Date.now()}</b>`;
    await page.goto(`${origin}/people?tab=tokens`);
    await page.getByRole('button', { name: 'Make a token' }).click();
    await page.getByLabel('What it is for').fill(label);
    await page.getByRole('dialog').getByRole('button', { name: 'Make a token' }).click();
    const made = (await page.getByRole('dialog').locator('code').textContent()) ?? '';
    expect('a token begins with', made.slice(0, 5), 'gmt1.');
    expect('the token works', await statusOf(made), 200);
    await page.getByRole('dialog').getByRole('button', { name: 'Done' }).click();
    const listed = await told('token', 'api', 'list');
    if (listed) expect('the command line lists it', JSON.stringify(listed).includes(label), true);
    await page.getByRole('button', { name: `Delete: ${label}` }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await until('the token is refused', async () => (await statusOf(made)) === 401);
  },

  async 'a join token has a command to paste'(page) {
    await page.goto(`${origin}/people?tab=join`);
    await page.getByRole('button', { name: 'Make the command' }).click();
    await page.getByText('gridmart host compute --element').waitFor();
  },

  async 'a viewer is offered nothing that a viewer may not do'(_page, { browser }) {
    const name = `viewer-${Date.now()}`;
    const password = randomBytes(18).toString('base64');
    await send('POST', 'people', { name, role: 'viewer', password });
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
      await send('PATCH', `people/${name}`, { enabled: false });
    }
  },
};
