import { describe, expect, it } from 'vitest';

import type { ResourceRow, TopologyView } from '../api/types';
import { patchPage } from './apply';
import { patchTopology } from './topology';

const row = (id: string, more: Partial<ResourceRow> = {}) =>
  ({ id, condition: 'ok', ...more }) as ResourceRow;

describe('a delta', () => {
  it('changes the rows that are shown, in their places', () => {
    const page = { items: [row('a'), row('b')], total: 9 };
    const { page: patched, met } = patchPage(page, new Map([['b', row('b', { condition: 'away' })]]));
    expect(met).toBe(1);
    expect(patched.items.map(({ condition }) => condition)).toEqual(['ok', 'away']);
    expect(patched.total).toBe(9);
    expect(patchPage(page, new Map([['x', row('x')]])).page).toBe(page);
  });

  it('changes the picture, and tells of what has no place in it', () => {
    const topology: TopologyView = {
      controller: 'c',
      domains: ['lab'],
      applications: [],
      elements: [{ id: 'e', kind: 'ce', name: 'ce-1', domain: 0, condition: 'ok', first_host: 0, hosts: 2 }],
      hosts: {
        ids: ['a', 'b'],
        names: ['a', 'b'],
        conditions: ['ok', 'ok'],
        used_percent: [0, null],
        applications: [[], []],
      },
    };
    const first = patchTopology(topology, [
      row('b', { condition: 'away' }),
      row('e', { condition: 'warning' }),
    ]);
    expect(first.strange).toBe(false);
    expect(first.topology.hosts.conditions).toEqual(['ok', 'away']);
    expect(first.topology.elements[0]?.condition).toBe('warning');
    expect(topology.hosts.conditions).toEqual(['ok', 'ok']);
    const second = patchTopology(first.topology, [row('a', { total_slots: 4, free_slots: 1 }), row('new')]);
    expect(second.strange).toBe(true);
    expect(second.topology.hosts.used_percent).toEqual([75, null]);
  });
});
