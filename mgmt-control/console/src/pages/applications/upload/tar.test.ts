import { describe, expect, it } from 'vitest';

import { isProgram, PathTooLong, tar, zstdStore } from './tar';

const text = (value: string) => new TextEncoder().encode(value);
const read = (bytes: Uint8Array, from: number, to: number) =>
  new TextDecoder().decode(bytes.subarray(from, to)).replace(/\0+$/, '');

describe('a package', () => {
  const made = tar([
    { path: 'bin/run', bytes: text('#!/bin/sh\n') },
    { path: 'AEDoc.xml', bytes: text('<AEDoc/>') },
  ]);

  it('has its entries in the order of their names, folders included', () => {
    expect(made.length).toBe(7 * 512);
    expect([0, 2, 3].map((block) => read(made, block * 512, block * 512 + 100))).toEqual([
      'AEDoc.xml',
      'bin',
      'bin/run',
    ]);
    expect([0, 2, 3].map((block) => read(made, block * 512 + 100, block * 512 + 107))).toEqual([
      '0000644',
      '0000755',
      '0000755',
    ]);
  });

  it('has the sums of its headers', () => {
    for (const block of [0, 2, 3]) {
      const head = made.slice(block * 512, block * 512 + 512);
      const told = Number.parseInt(read(head, 148, 154), 8);
      head.fill(0x20, 148, 156);
      expect(told).toBe(head.reduce((sum, byte) => sum + byte, 0));
    }
  });

  it('holds long paths as far as ustar can', () => {
    const folder = `${'a'.repeat(60)}/${'b'.repeat(60)}`;
    const file = tar([{ path: `${folder}/c`, bytes: text('') }]).subarray(2 * 512);
    expect([read(file, 345, 500), read(file, 0, 100)]).toEqual([folder, 'c']);
    expect(() => tar([{ path: 'c'.repeat(101), bytes: text('') }])).toThrow(PathTooLong);
  });
});

describe('a zstd frame', () => {
  it('stores what it holds in blocks', () => {
    const content = new Uint8Array(300_000).fill(7);
    const frame = zstdStore(content);
    expect([...frame.subarray(0, 6)]).toEqual([0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x38]);
    expect(frame.length).toBe(14 + 3 * 3 + content.length);
  });
});

it('knows programs by their first bytes', () => {
  expect(isProgram(text('#!/bin/sh'))).toBe(true);
  expect(isProgram(new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 2]))).toBe(true);
  expect(isProgram(text('<AEDoc/>'))).toBe(false);
});
