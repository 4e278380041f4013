import { expect, it } from 'vitest';

import { safeNext } from './next';

it('leads nowhere but to this page', () => {
  expect(safeNext('/resources?search=a')).toBe('/resources?search=a');
  for (const foreign of [
    undefined,
    '',
    'https://x.example',
    '//x.example',
    '/\\x.example',
    'javascript:1',
    '/sign-in',
  ]) {
    expect(safeNext(foreign)).toBe('/');
  }
});
