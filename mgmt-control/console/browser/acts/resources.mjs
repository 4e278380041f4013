import { api, expect, origin, told, until, workingHost } from '../market.mjs';

async function isDesired(host, state) {
  const { wish } = await api(`resources/${host.id}`);
  return wish.desired === state;
}

export const acts = {
  async 'a Host is stopped, and started again by undo'(page) {
    const host = await workingHost();
    await page.goto(`${origin}/resources/${host.id}`);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click();
    await until('the Host is closed', () => isDesired(host, 'closed'));
    const shown = await told('show', host.name);
    if (shown) expect('the command line says', shown.wish.desired, 'closed');
    await page.getByRole('button', { name: 'Undo' }).click();
    await until('the Host takes work', () => isDesired(host, 'production'));
    await page.getByRole('button', { name: 'Stop' }).waitFor();
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

  async 'what another does is shown without a reload'(page) {
    const host = await workingHost();
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

  async 'a storage Host is to be emptied, and that is taken back'(page) {
    const { items } = await api('resources?kind=se');
    const element = items.find(({ connected }) => connected);
    if (!element) return 'no storage';
    await page.goto(`${origin}/resources/${element.id}/layout`);
    await page.getByRole('button', { name: 'Empty it' }).first().click();
    await page.getByRole('heading', { name: 'A change is staged' }).waitFor();
    await until('it is staged', async () => {
      const { staged } = await api(`resources/${element.id}/layout`);
      return staged?.layout.drain.length === 1;
    });
    const layout = await told('layout', 'show');
    if (layout) expect('Hosts to be emptied', layout.staged.layout.drain.length, 1);
    await page.getByRole('button', { name: /^Take it back/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Take it back' }).click();
    await page.getByRole('button', { name: 'Spread blocks evenly' }).waitFor();
    expect('what is staged', (await api(`resources/${element.id}/layout`)).staged, undefined);
    return undefined;
  },
};
