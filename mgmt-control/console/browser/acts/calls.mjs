import { spawn } from 'node:child_process';

import { DEADLINE_MS, binary, origin, url } from '../market.mjs';

export const acts = {
  async 'a call that runs is shown, and killed by its button'(page) {
    if (!binary) return 'no GRIDMART_BINARY';
    await page.goto(`${origin}/calls`);
    // It reads its input to the end, which does not come.
    const env = { ...process.env, GRIDMART_URL: url };
    const call = spawn(binary, ['call', 'walker', '--input', '-'], {
      stdio: ['pipe', 'ignore', 'pipe'],
      env,
    });
    const ended = new Promise((resolve) => call.on('exit', resolve));
    try {
      const row = page.getByRole('table', { name: 'Now' }).getByRole('row').filter({ hasText: 'walker' });
      await row.getByRole('button', { name: 'Kill' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Kill' }).click();
      const late = new Promise((resolve) => setTimeout(() => resolve('still there'), DEADLINE_MS));
      const code = await Promise.race([ended, late]);
      if (code === 0 || code === 'still there') throw new Error(`the call was not cut: ${code}`);
      await row.waitFor({ state: 'hidden' });
    } finally {
      call.kill();
    }
    return undefined;
  },
};
