// Bad days: the controller is away, answers come late, the stream says nothing any more.
import { api, expect, origin, run, told, workingHost } from '../market.mjs';

const SLOW_MS = 3_000;

/** The first live stream of a page begins, and says nothing ever after. */
function silence() {
  const { fetch } = window;
  let streams = 0;
  window.fetch = (target, options) => {
    if (!String(target).includes('/api/v1/live')) return fetch(target, options);
    streams += 1;
    window.liveStreams = streams;
    if (streams > 1) return fetch(target, options);
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(': here\n\n'));
        options.signal.addEventListener('abort', () => controller.error(new Error('aborted')));
      },
    });
    return Promise.resolve(new Response(body, { headers: { 'content-type': 'text/event-stream' } }));
  };
}

function live(page) {
  return page.getByText('Live', { exact: true });
}

export const acts = {
  async 'a controller that is away shows as lost, and all heals by itself'(page) {
    await page.goto(`${origin}/resources?kind=chost`);
    await live(page).waitFor();
    const host = await workingHost();
    const row = page.getByRole('row').filter({ hasText: host.name });
    await row.getByText('Well').waitFor();
    // The parts of the other pages have come as well.
    await page.waitForFunction(() =>
      performance.getEntriesByType('resource').some(({ name }) => name.includes('SqlEditor')),
    );
    if (!(await run('GRIDMART_KILL'))) return 'no GRIDMART_KILL';
    await page.getByText(/^Lost/).waitFor();
    // What was known stays readable, and what is pressed is refused in words.
    await row.getByText('Well').waitFor();
    await row.getByRole('link', { name: host.name }).click();
    await page.getByRole('button', { name: 'Try again' }).first().waitFor();
    await run('GRIDMART_START');
    await live(page).waitFor();
    await page.getByRole('heading', { name: host.name }).waitFor();
    await page.goBack();
    // What happened is told without a reload, by the new controller.
    await page.getByRole('table', { name: 'Resources' }).waitFor();
    await row.getByText('Well').waitFor();
    try {
      await api(`resources/${host.id}/stop`, { method: 'POST' });
      await row.getByText('Stopped').waitFor();
    } finally {
      await api(`resources/${host.id}/start`, { method: 'POST' });
    }
    return undefined;
  },

  async 'a stream that dies silently is noticed, and what it did not tell is shown'(_page, { context }) {
    const page = await context.newPage();
    const host = await workingHost();
    try {
      await page.addInitScript(silence);
      await page.goto(`${origin}/resources?kind=chost`);
      const row = page.getByRole('row').filter({ hasText: host.name });
      await row.getByText('Well').waitFor();
      await api(`resources/${host.id}/stop`, { method: 'POST' });
      const shown = await told('show', host.name);
      if (shown) expect('the command line says', shown.wish.desired, 'closed');
      await row.getByText('Stopped').waitFor();
      expect('streams', (await page.evaluate(() => window.liveStreams)) > 1, true);
    } finally {
      await api(`resources/${host.id}/start`, { method: 'POST' });
      await page.close();
    }
  },

  async 'slow answers leave room for what comes, and the page answers meanwhile'(_page, { context }) {
    const page = await context.newPage();
    try {
      await page.route('**/api/v1/resources*', async (route) => {
        await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
        await route.continue();
      });
      await page.goto(`${origin}/resources`);
      await page.getByLabel('Loading').first().waitFor();
      // Another page is there at once, and what comes late for the first does no harm.
      await page.getByRole('link', { name: 'Audit' }).click();
      await page.getByRole('table').first().waitFor();
      await page.getByRole('link', { name: 'Resources' }).click();
      await page.getByRole('table', { name: 'Resources' }).getByRole('link').first().waitFor();
    } finally {
      await page.close();
    }
  },
};
