import { expect, it } from 'vitest';

import { crumbs, previewOf } from './keys';

it('leads through the folders of a key, whatever they are called', () => {
  expect(crumbs('')).toEqual([]);
  expect(crumbs('a/b c/')).toEqual([
    { name: 'a', prefix: 'a/' },
    { name: 'b c', prefix: 'a/b c/' },
  ]);
  expect(crumbs('a//')[1]).toEqual({ name: '(empty)', prefix: 'a//' });
});

it('shows what a browser can show', () => {
  expect(previewOf('image/png', 'x')).toBe('image');
  expect(previewOf('application/json; charset=utf-8', 'x')).toBe('text');
  expect(previewOf(undefined, 'net.GML')).toBe('text');
  expect(previewOf('application/octet-stream', 'x.bin')).toBe('unknown');
});
