import { describe, expect, it } from 'vitest';

import type { TopologyView } from '../../api/types';
import { cellOf, hitAt, layOut, type Box } from './layout';

function topology(hosts: number[]): TopologyView {
  let first = 0;
  const elements = hosts.map((count, index) => {
    const element = {
      id: `e${index}`,
      kind: 'ce' as const,
      name: `ce-${index}`,
      domain: index % 2,
      condition: 'ok' as const,
      first_host: first,
      hosts: count,
    };
    first += count;
    return element;
  });
  const ids = Array.from({ length: first }, (_, index) => `h${index}`);
  return {
    controller: 'c',
    domains: ['lab', 'cloud'],
    applications: [],
    elements,
    hosts: {
      ids,
      names: ids,
      conditions: ids.map(() => 'ok'),
      used_percent: ids.map(() => 0),
      applications: ids.map(() => []),
    },
  };
}

const apart = (a: Box, b: Box) =>
  a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;

describe('the picture', () => {
  it('sets nothing over another thing', () => {
    const { elements, domains } = layOut(topology([3, 0, 120, 1, 7, 40]));
    for (const boxes of [elements, domains]) {
      boxes.forEach((a, index) => boxes.slice(index + 1).forEach((b) => expect(apart(a, b)).toBe(true)));
    }
  });

  it('finds the Host at the point where it was drawn', () => {
    const shown = topology([3, 5, 200]);
    const layout = layOut(shown);
    for (const box of layout.elements) {
      const element = shown.elements[box.element];
      for (let index = 0; index < (element?.hosts ?? 0); index += 1) {
        const cell = cellOf(box, index);
        expect(hitAt(layout, shown, cell.x + 2, cell.y + 2)).toEqual({
          kind: 'host',
          host: (element?.first_host ?? 0) + index,
        });
      }
      expect(hitAt(layout, shown, box.x + 3, box.y + 3)).toEqual({ kind: 'element', element: box.element });
    }
    expect(hitAt(layout, shown, -5, -5)).toBeUndefined();
  });

  it('lays 10,000 Hosts out in a moment', () => {
    const started = performance.now();
    const { whole } = layOut(topology(Array.from({ length: 100 }, () => 100)));
    expect(performance.now() - started).toBeLessThan(500);
    expect(whole.width / whole.height).toBeLessThan(4);
  });
});
