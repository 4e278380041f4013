/** A part of a file: its number, from 1, and its bytes. */
export interface Part {
  number: number;
  from: number;
  to: number;
}

/** How the server keeps to its word on how many parts an upload may have. */
const PARTS_MAX = 10_000;

/** Cuts a file into parts; an empty one is one empty part. Larger parts are taken where the usual ones would be too many. */
export function plan(size: number, partBytes: number): Part[] {
  const factor = Math.max(1, Math.ceil(size / partBytes / PARTS_MAX));
  const step = partBytes * factor;
  const parts: Part[] = [];
  for (let from = 0; from < size || parts.length === 0; from += step) {
    parts.push({ number: parts.length + 1, from, to: Math.min(size, from + step) });
  }
  return parts;
}

/** Parts that are not there yet, as a server tells what it has. */
export function missing(parts: Part[], there: { number: number; size: number }[]): Part[] {
  const sizes = new Map(there.map(({ number, size }) => [number, size]));
  return parts.filter(({ number, from, to }) => sizes.get(number) !== to - from);
}
