import { expect, it } from 'vitest';

import type { DatabaseView } from '../../api/types';
import { copiesOf, databaseState } from './copies';

const state = (role: string, log_position: number) => ({
  role,
  sync_state: 'synchronised',
  log_position,
  used_size: 10,
});
const view = {
  database: {
    state: { shadow_count: 2, fresh_shadow_count: 1 },
    replicas: {
      replicas: [
        { host: 'urn:uuid:b', role: 'shadow', state: state('shadow', 7) },
        { host: 'urn:uuid:c', role: 'shadow', filter: { rules: [], version: 1 } },
        { host: 'urn:uuid:a', role: 'core', state: state('core', 9) },
      ],
    },
  },
  host_names: { a: 'data-1', b: 'data-2' },
} as unknown as DatabaseView;

it('tells how far each copy is behind its core, the core first', () => {
  const copies = copiesOf(view);
  expect(copies.map(({ name, role, behind, partial }) => [name, role, behind, partial])).toEqual([
    ['data-1', 'core', 0, false],
    ['c', 'shadow', undefined, true],
    ['data-2', 'shadow', 2, false],
  ]);
  expect(copies[1]?.state.tone).toBe('critical');
  expect(databaseState(view)).toEqual({ tone: 'warning', word: '1 of 2 up to date' });
});
