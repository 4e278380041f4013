import { expect, origin, signIn } from '../market.mjs';

export const acts = {
  async 'a session that ends in the middle of work asks to sign in, and loses nothing'(page, { context }) {
    await page.goto(`${origin}/people`);
    await page.getByRole('button', { name: 'Add a person' }).click();
    await page.getByLabel('Name').fill('somebody');
    await page.getByLabel('New password').fill('a-long-password-1');
    await context.clearCookies();
    await page.getByRole('dialog').getByRole('button', { name: 'Add a person' }).click();
    const again = page.getByRole('dialog', { name: 'Sign in again' });
    await again.waitFor();
    await signIn(again);
    await again.waitFor({ state: 'hidden' });
    expect('what was typed', await page.getByLabel('Name').inputValue(), 'somebody');
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  },

  async 'signing out leads to the form, and back to where one was'(page) {
    await page.goto(`${origin}/audit`);
    await page.getByRole('button', { name: /Your account/ }).click();
    await page.getByRole('menuitem', { name: 'Sign out' }).click();
    await page.waitForURL(/sign-in\?next=%2Faudit/);
    await signIn(page);
    await page.waitForURL(/\/audit$/);
  },
};
