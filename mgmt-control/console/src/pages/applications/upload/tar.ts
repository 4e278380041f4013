// A folder, as the package that the controller takes: a tar (ustar) with AEDoc.xml at its top, inside
// a zstd frame. The frame's blocks are stored as they are: a package is small, and a compressor
// would be larger than the page.

import { words } from '../../../words/en';

export interface PackedFile {
  /** Path inside the package, without a slash before it. */
  path: string;
  bytes: Uint8Array;
}

const BLOCK = 512;
const ENCODER = new TextEncoder();
const ZSTD_BLOCK_MAX = 128 * 1024;

/** A path that ustar cannot hold. */
export class PathTooLong extends Error {
  constructor(path: string) {
    super(words.applications.tooLong(path));
  }
}

/** Browsers do not tell which files may be run: programs and scripts say so with their first bytes. */
export function isProgram(bytes: Uint8Array): boolean {
  const [a, b, c, d] = bytes;
  return (a === 0x7f && b === 0x45 && c === 0x4c && d === 0x46) || (a === 0x23 && b === 0x21);
}

/** Splits a path into ustar's name (100 bytes) and prefix (155 bytes), at a slash. */
function splitPath(path: string): { name: Uint8Array; prefix: Uint8Array } {
  const whole = ENCODER.encode(path);
  if (whole.length <= 100) return { name: whole, prefix: new Uint8Array() };
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
    const prefix = ENCODER.encode(path.slice(0, at));
    const name = ENCODER.encode(path.slice(at + 1));
    if (prefix.length <= 155 && name.length <= 100 && name.length > 0) return { name, prefix };
  }
  throw new PathTooLong(path);
}

function header(path: string, size: number, mode: number, kind: '0' | '5'): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  const { name, prefix } = splitPath(path);
  const octal = (value: number, digits: number, at: number) =>
    block.set(ENCODER.encode(value.toString(8).padStart(digits, '0')), at);
  block.set(name, 0);
  octal(mode, 7, 100);
  octal(0, 7, 108);
  octal(0, 7, 116);
  octal(size, 11, 124);
  octal(0, 11, 136);
  block.fill(0x20, 148, 156);
  block.set(ENCODER.encode(kind), 156);
  block.set(ENCODER.encode('ustar\x0000'), 257);
  block.set(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  octal(sum, 6, 148);
  block[154] = 0;
  return block;
}

/** Folders on the way to files, parents first. */
function foldersOf(files: PackedFile[]): string[] {
  const folders = new Set<string>();
  for (const { path } of files) {
    const parts = path.split('/').slice(0, -1);
    parts.forEach((_, index) => folders.add(parts.slice(0, index + 1).join('/')));
  }
  return [...folders];
}

/** Makes the tar; the same files always give the same bytes. */
export function tar(files: PackedFile[]): Uint8Array<ArrayBuffer> {
  const folders = foldersOf(files);
  const entries = [
    ...folders.map((path) => ({ path, bytes: undefined })),
    ...files.map(({ path, bytes }) => ({ path, bytes })),
  ].sort((a, b) => (a.path < b.path ? -1 : 1));
  const size = entries.reduce(
    (sum, { bytes }) => sum + BLOCK + Math.ceil((bytes?.length ?? 0) / BLOCK) * BLOCK,
    2 * BLOCK,
  );
  const out = new Uint8Array(size);
  let at = 0;
  for (const { path, bytes } of entries) {
    const mode = bytes === undefined || isProgram(bytes) ? 0o755 : 0o644;
    out.set(header(path, bytes?.length ?? 0, mode, bytes === undefined ? '5' : '0'), at);
    at += BLOCK;
    if (bytes !== undefined) {
      out.set(bytes, at);
      at += Math.ceil(bytes.length / BLOCK) * BLOCK;
    }
  }
  return out;
}

/** Puts bytes into a zstd frame (RFC 8878) of raw blocks. */
export function zstdStore(content: Uint8Array): Uint8Array<ArrayBuffer> {
  const blocks = Math.max(1, Math.ceil(content.length / ZSTD_BLOCK_MAX));
  // Magic, frame header (content size of eight bytes; a window of 128 KiB), blocks with three bytes before each.
  const out = new Uint8Array(4 + 1 + 1 + 8 + blocks * 3 + content.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, 0xfd2fb528, true);
  view.setUint8(4, 0b1100_0000);
  view.setUint8(5, 7 << 3);
  view.setBigUint64(6, BigInt(content.length), true);
  let at = 14;
  for (let block = 0; block < blocks; block += 1) {
    const piece = content.subarray(block * ZSTD_BLOCK_MAX, (block + 1) * ZSTD_BLOCK_MAX);
    const head = (piece.length << 3) | (block === blocks - 1 ? 1 : 0);
    out.set([head & 0xff, (head >> 8) & 0xff, (head >> 16) & 0xff], at);
    out.set(piece, at + 3);
    at += 3 + piece.length;
  }
  return out;
}
