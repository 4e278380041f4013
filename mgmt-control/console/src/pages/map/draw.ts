// Draws the picture on a canvas: ten thousand Hosts are too many for elements of the page.
import type { Condition, TopologyView } from '../../api/types';
import { conditionTone, type Tone } from '../../parts/state';
import { words } from '../../words/en';
import { cellOf, type Box, type ElementBox, type Layout } from './layout';

export interface View {
  x: number;
  y: number;
  k: number;
}

/** From this size on a screen, in pixels, names are drawn. */
const NAME_SCALE = 1.25;
const SIGN_SCALE = 0.45;
const HEAD_SCALE = 0.28;

export interface Colours {
  tone: (tone: Tone) => string;
  soft: (tone: Tone) => string;
  surface: string;
  line: string;
  ink: string;
  inkSoft: string;
  font: string;
}

export function coloursOf(element: Element): Colours {
  const style = getComputedStyle(element);
  const value = (name: string) => style.getPropertyValue(name).trim();
  return {
    tone: (tone) => value(`--${tone}`),
    soft: (tone) => value(`--${tone}-soft`),
    surface: value('--surface'),
    line: value('--line-strong'),
    ink: value('--ink'),
    inkSoft: value('--ink-soft'),
    font: style.fontFamily,
  };
}

export function draw(
  canvas: HTMLCanvasElement,
  topology: TopologyView,
  layout: Layout,
  view: View,
  colours: Colours,
): void {
  const pen = canvas.getContext('2d');
  if (!pen) return;
  const ratio = window.devicePixelRatio;
  const { clientWidth, clientHeight } = canvas;
  canvas.width = Math.round(clientWidth * ratio);
  canvas.height = Math.round(clientHeight * ratio);
  pen.setTransform(ratio * view.k, 0, 0, ratio * view.k, ratio * view.x, ratio * view.y);
  const seen: Box = {
    x: -view.x / view.k,
    y: -view.y / view.k,
    width: clientWidth / view.k,
    height: clientHeight / view.k,
  };
  const tones = toneTable(colours);
  for (const box of layout.domains) {
    if (!meets(box, seen)) continue;
    frame(pen, box, colours.line, undefined, view.k);
    title(pen, box, box.name, colours.inkSoft, colours, view.k);
  }
  for (const box of layout.elements)
    if (meets(box, seen)) drawElement(pen, box, topology, tones, colours, view.k, seen);
}

type ToneTable = Record<Tone, { strong: string; soft: string }>;

function toneTable(colours: Colours): ToneTable {
  const of = (tone: Tone) => ({ strong: colours.tone(tone), soft: colours.soft(tone) });
  return {
    ok: of('ok'),
    warning: of('warning'),
    critical: of('critical'),
    unknown: of('unknown'),
    closed: of('closed'),
  };
}

function drawElement(
  pen: CanvasRenderingContext2D,
  box: ElementBox,
  topology: TopologyView,
  tones: ToneTable,
  colours: Colours,
  scale: number,
  seen: Box,
): void {
  const element = topology.elements[box.element];
  if (!element) return;
  const tone = conditionTone(element.condition);
  frame(pen, box, tone === 'ok' ? colours.line : tones[tone].strong, colours.surface, scale);
  const state = tone === 'ok' ? '' : ` · ${words.state[element.condition]}`;
  title(
    pen,
    box,
    `${element.name}${state}`,
    tone === 'ok' ? colours.ink : tones[tone].strong,
    colours,
    scale,
  );
  for (let index = 0; index < element.hosts; index += 1) {
    const cell = cellOf(box, index);
    if (!meets(cell, seen)) continue;
    const host = element.first_host + index;
    const condition = topology.hosts.conditions[host] ?? 'unknown';
    drawHost(pen, cell, condition, topology.hosts.used_percent[host] ?? null, tones, scale);
    if (scale >= NAME_SCALE) name(pen, cell, topology.hosts.names[host] ?? '', colours);
  }
}

function drawHost(
  pen: CanvasRenderingContext2D,
  cell: Box,
  condition: Condition,
  used: number | null,
  tones: ToneTable,
  scale: number,
): void {
  const tone = conditionTone(condition);
  const { strong, soft } = tones[tone];
  pen.fillStyle = soft;
  pen.fillRect(cell.x, cell.y, cell.width, cell.height);
  if (used !== null && used > 0) {
    pen.fillStyle = strong;
    pen.globalAlpha = 0.35;
    const height = (cell.height * Math.min(100, used)) / 100;
    pen.fillRect(cell.x, cell.y + cell.height - height, cell.width, height);
    pen.globalAlpha = 1;
  }
  pen.strokeStyle = strong;
  pen.lineWidth = (tone === 'ok' ? 1 : 2) / scale;
  pen.strokeRect(cell.x, cell.y, cell.width, cell.height);
  if (scale >= SIGN_SCALE) sign(pen, cell, tone, strong);
}

/** A small sign in the corner, so that colour is never alone. */
function sign(pen: CanvasRenderingContext2D, { x, y, width }: Box, tone: Tone, colour: string): void {
  const right = x + width - 4;
  const left = right - 6;
  const top = y + 4;
  pen.strokeStyle = colour;
  pen.lineWidth = 1.2;
  pen.beginPath();
  if (tone === 'ok') {
    pen.moveTo(left, top + 3);
    pen.lineTo(left + 2.2, top + 5.5);
    pen.lineTo(right, top);
  } else if (tone === 'critical') {
    pen.moveTo(left, top);
    pen.lineTo(right, top + 6);
    pen.moveTo(right, top);
    pen.lineTo(left, top + 6);
  } else if (tone === 'warning') {
    pen.moveTo(left + 3, top);
    pen.lineTo(left + 3, top + 4);
    pen.moveTo(left + 3, top + 5.4);
    pen.lineTo(left + 3, top + 6.2);
  } else {
    pen.moveTo(left, top + 3);
    pen.lineTo(right, top + 3);
  }
  pen.stroke();
}

function name(pen: CanvasRenderingContext2D, cell: Box, text: string, colours: Colours): void {
  pen.fillStyle = colours.ink;
  pen.font = `7px ${colours.font}`;
  pen.textBaseline = 'alphabetic';
  clipped(pen, text, cell.x + 3, cell.y + cell.height - 4, cell.width - 6);
}

function frame(
  pen: CanvasRenderingContext2D,
  box: Box,
  line: string,
  fill: string | undefined,
  scale: number,
): void {
  pen.beginPath();
  pen.roundRect(box.x, box.y, box.width, box.height, 5);
  if (fill !== undefined) {
    pen.fillStyle = fill;
    pen.fill();
  }
  pen.strokeStyle = line;
  pen.lineWidth = 1 / scale;
  pen.stroke();
}

function title(
  pen: CanvasRenderingContext2D,
  box: Box,
  text: string,
  colour: string,
  colours: Colours,
  scale: number,
): void {
  if (scale < HEAD_SCALE) return;
  pen.fillStyle = colour;
  pen.font = `600 11px ${colours.font}`;
  pen.textBaseline = 'middle';
  clipped(pen, text, box.x + 10, box.y + 14, box.width - 20);
}

/** As much of a text as has room; names may be of any length. */
function clipped(pen: CanvasRenderingContext2D, text: string, x: number, y: number, width: number): void {
  let shown = text.slice(0, 80);
  if (pen.measureText(shown).width > width || shown.length < text.length) {
    while (shown.length > 1 && pen.measureText(`${shown}…`).width > width) shown = shown.slice(0, -1);
    shown += '…';
  }
  pen.fillText(shown, x, y);
}

function meets(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
