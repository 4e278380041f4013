// Two pictures for who has not started it yet: the overview and the map of a running supermarket.
//
//   GRIDMART_TOKEN=… GRIDMART_PICTURES=docs node browser/screenshots.mjs http://127.0.0.1:7700
import { join } from 'node:path';

import { demand, launch, origin, signIn } from './market.mjs';

const folder = process.env.GRIDMART_PICTURES;
demand('GRIDMART_PICTURES=FOLDER node browser/screenshots.mjs URL', folder);

const browser = await launch();
try {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    colorScheme: 'light',
    locale: 'en-GB',
  });
  const page = await context.newPage();
  await page.goto(`${origin}/`);
  await signIn(page);
  await page.getByText('Live', { exact: true }).waitFor();
  for (const [name, path, ready] of [
    ['console-overview', '/', 'text=Elements and Hosts'],
    ['console-map', '/map', 'canvas'],
  ]) {
    await page.goto(`${origin}${path}`);
    await page.locator(ready).first().waitFor();
    await page.getByText('Live', { exact: true }).waitFor();
    await page.waitForFunction(() => !document.querySelector('[aria-label="Loading"]'));
    // What moves into its place.
    await page.waitForTimeout(1_000);
    await page.screenshot({ path: join(folder, `${name}.png`) });
    console.log(`${name}.png`);
  }
} finally {
  await browser.close();
}
