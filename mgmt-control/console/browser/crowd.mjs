// Ten thousand Hosts, a thousand changes each second: whether the page stays responsive, and its memory
// bounded. Its API is answered inside the browser (crowd-api.js); only the page itself comes from URL.
//
//   node browser/crowd.mjs http://127.0.0.1:7700 [SECONDS]
import { fileURLToPath } from 'node:url';

import { launch, origin } from './market.mjs';

const [, , , time = '20'] = process.argv;
if (!origin) {
  console.error('usage: node browser/crowd.mjs URL [SECONDS for each page]');
  process.exit(2);
}
const seconds = Number(time);
/** A page that stands still for longer is not responsive, on a slow machine either. */
const STILL_MS_MAX = 2_000;
const GROWTH_BYTES_MAX = 60 * 1024 * 1024;

const browser = await launch();
let failed = 0;
try {
  for (const [path, ready] of [
    ['/', 'text=Elements and Hosts'],
    ['/resources', '[role=row] a'],
    ['/map', 'canvas'],
  ]) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await page.addInitScript({ path: fileURLToPath(new URL('crowd-api.js', import.meta.url)) });
    const debug = await page.context().newCDPSession(page);
    const heap = async () => {
      await debug.send('HeapProfiler.collectGarbage');
      return (await debug.send('Runtime.getHeapUsage')).usedSize;
    };
    const began = Date.now();
    await page.goto(`${origin}${path}`);
    await page.waitForSelector(ready);
    const shown = Date.now() - began;
    await page.evaluate(() => {
      window.stillMax = 0;
      let last = window.performance.now();
      const frame = (now) => {
        window.stillMax = Math.max(window.stillMax, now - last);
        last = now;
        window.requestAnimationFrame(frame);
      };
      window.requestAnimationFrame(frame);
    });
    await page.waitForTimeout((seconds * 1000) / 4);
    const before = await heap();
    for (let second = 0; second < seconds; second += 1) {
      await page.mouse.move(600, 400);
      await page.mouse.wheel(0, second % 2 === 0 ? 600 : -300);
      await page.waitForTimeout(1000);
    }
    const growth = (await heap()) - before;
    const { still, changes } = await page.evaluate(() => ({
      still: window.stillMax,
      changes: window.crowdChanges,
    }));
    const bad = still > STILL_MS_MAX || growth > GROWTH_BYTES_MAX;
    failed += bad ? 1 : 0;
    const mebibytes = (bytes) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
    console.log(
      `${bad ? 'FAIL' : 'ok  '} ${path}: shown after ${shown} ms; ${changes} changes; stood still ${still.toFixed(0)} ms at most; ` +
        `heap ${mebibytes(before)}, ${mebibytes(growth)} more after ${seconds} s`,
    );
    await page.close();
  }
} finally {
  await browser.close();
}
process.exit(failed === 0 ? 0 : 1);
