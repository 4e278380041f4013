import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { DEADLINE_MS, api, choose, expect, origin, told, until } from '../market.mjs';

const document = (version) => `<?xml version="1.0" encoding="UTF-8"?>
<AEDoc xmlns="urn:gridmart:rdm:1" Version="1">
  <Info><AppName>walker</AppName><AppVersion>${version}</AppVersion><Kind>task</Kind></Info>
  <AccessControlBase><Rule Operations="call">ALL</Rule></AccessControlBase>
  <Command><Executable>bin/run</Executable></Command>
</AEDoc>
`;

export const acts = {
  async 'a folder is uploaded, and is what was in it'(page, { folder }) {
    const version = `1.0.${Date.now()}`;
    await mkdir(join(folder, 'walker', 'bin'), { recursive: true });
    await writeFile(join(folder, 'walker', 'bin', 'run'), '#!/bin/sh\ncat\n');
    await writeFile(join(folder, 'walker', 'AEDoc.xml'), document(version));
    await page.goto(`${origin}/applications`);
    await page.getByRole('button', { name: 'Upload' }).click();
    const dialog = page.getByRole('dialog');
    await choose(page, dialog.getByRole('button', { name: 'Choose a folder' }), join(folder, 'walker'));
    await page.getByText(`walker ${version} is on the shelf.`).waitFor({ timeout: DEADLINE_MS });
    await page.getByRole('link', { name: 'Show it' }).click();
    await page.getByRole('heading', { name: 'walker' }).waitFor();
    await until('a Host has it', async () => {
      const { items } = await api('applications/walker');
      const made = items.find((one) => one.version === version);
      return made?.deployments.some(({ state }) => state === 'installedverified');
    });
    const shown = await told('versions', 'walker');
    if (shown) expect('the command line knows it', JSON.stringify(shown).includes(version), true);
  },

  async 'a package with another content is refused in words'(page, { folder }) {
    await writeFile(join(folder, 'no-package.tar'), 'this is no tar');
    await page.goto(`${origin}/applications`);
    await page.getByRole('button', { name: 'Upload' }).click();
    const button = page.getByRole('dialog').getByRole('button', { name: 'Choose a package' });
    await choose(page, button, join(folder, 'no-package.tar'));
    await page.getByText('This is no package').waitFor();
  },
};
