// Where everything stands in the picture: domains as frames, Elements as frames in them, Hosts as
// cells in those. Pure, so that the same supermarket always looks the same.
import type { TopologyView } from '../../api/types';

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface ElementBox extends Box {
  /** Its place in the list of Elements. */
  element: number;
  columns: number;
}

export interface DomainBox extends Box {
  name: string;
}

export interface Layout {
  whole: Box;
  domains: DomainBox[];
  elements: ElementBox[];
}

export const CELL = { width: 40, height: 26, gap: 5 };
const HEAD = 26;
const PAD = 12;
const GAP = 26;
/** Width for its height of the whole, and of an Element. */
const ASPECT = 1.7;
const EMPTY_COLUMNS = 3;

function sizeOf(hosts: number): { columns: number; width: number; height: number } {
  const cells = Math.max(1, hosts);
  const wanted = Math.sqrt((cells * ASPECT * (CELL.height + CELL.gap)) / (CELL.width + CELL.gap));
  const columns = Math.max(EMPTY_COLUMNS, Math.ceil(wanted));
  const rows = Math.ceil(cells / columns);
  return {
    columns,
    width: columns * (CELL.width + CELL.gap) - CELL.gap + 2 * PAD,
    height: HEAD + rows * (CELL.height + CELL.gap) - CELL.gap + PAD,
  };
}

/** Sets boxes in rows, none wider than `limit` unless one box is. */
function rows(boxes: Box[], limit: number, gap: number): { width: number; height: number } {
  let x = 0;
  let y = 0;
  let tallest = 0;
  let width = 0;
  for (const box of boxes) {
    if (x > 0 && x + box.width > limit) {
      x = 0;
      y += tallest + gap;
      tallest = 0;
    }
    box.x = x;
    box.y = y;
    x += box.width + gap;
    tallest = Math.max(tallest, box.height);
    width = Math.max(width, box.x + box.width);
  }
  return { width, height: y + tallest };
}

function limitOf(boxes: Box[]): number {
  const area = boxes.reduce((sum, { width, height }) => sum + (width + GAP) * (height + GAP), 0);
  return Math.max(Math.sqrt(area * ASPECT), ...boxes.map(({ width }) => width));
}

export function layOut({ domains, elements }: TopologyView): Layout {
  const placed: ElementBox[] = [];
  const frames = domains.map((name, domain): DomainBox & { inside: ElementBox[] } => {
    const inside = elements.flatMap((element, index): ElementBox[] =>
      element.domain === domain ? [{ element: index, x: 0, y: 0, ...sizeOf(element.hosts) }] : [],
    );
    const { width, height } = rows(inside, limitOf(inside), PAD);
    return { name, inside, x: 0, y: 0, width: width + 2 * PAD, height: height + HEAD + PAD };
  });
  const size = rows(frames, limitOf(frames), GAP);
  for (const { inside, x, y } of frames) {
    for (const box of inside) placed.push({ ...box, x: x + PAD + box.x, y: y + HEAD + box.y });
  }
  return {
    whole: { x: 0, y: 0, ...size },
    domains: frames.map(({ name, x, y, width, height }) => ({ name, x, y, width, height })),
    elements: placed,
  };
}

/** The cell of an Element's host `index`. */
export function cellOf(box: ElementBox, index: number): Box {
  const column = index % box.columns;
  const row = Math.floor(index / box.columns);
  return {
    x: box.x + PAD + column * (CELL.width + CELL.gap),
    y: box.y + HEAD + row * (CELL.height + CELL.gap),
    width: CELL.width,
    height: CELL.height,
  };
}

export type Hit = { kind: 'element'; element: number } | { kind: 'host'; host: number } | undefined;

/** What stands at a point of the picture. */
export function hitAt({ elements: boxes }: Layout, { elements }: TopologyView, x: number, y: number): Hit {
  const box = boxes.find(
    (one) => x >= one.x && y >= one.y && x <= one.x + one.width && y <= one.y + one.height,
  );
  const element = box && elements[box.element];
  if (!box || !element) return undefined;
  const column = Math.floor((x - box.x - PAD) / (CELL.width + CELL.gap));
  const row = Math.floor((y - box.y - HEAD) / (CELL.height + CELL.gap));
  const index = row * box.columns + column;
  if (column < 0 || column >= box.columns || row < 0 || index >= element.hosts)
    return { kind: 'element', element: box.element };
  const cell = cellOf(box, index);
  const inside = x <= cell.x + cell.width && y <= cell.y + cell.height;
  return inside
    ? { kind: 'host', host: element.first_host + index }
    : { kind: 'element', element: box.element };
}
