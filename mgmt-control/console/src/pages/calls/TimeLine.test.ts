import { expect, it } from 'vitest';

import type { CallRecord } from '../../api/types';
import { stretches } from './TimeLine';

it('lays the attempts of a call out from its first submission', () => {
  const attempt = (submitted: string, ended: string, wall_us: number) =>
    ({ submitted, ended, end: { wall_us } }) as CallRecord;
  expect(
    stretches([
      attempt('2026-01-01T00:00:00Z', '2026-01-01T00:00:02Z', 1_500_000),
      attempt('2026-01-01T00:00:03Z', '2026-01-01T00:00:04Z', 9_000_000),
    ]),
  ).toEqual([
    { attempt: 1, what: 'waited', from: 0, until: 0.5 },
    { attempt: 1, what: 'ran', from: 0.5, until: 2 },
    { attempt: 2, what: 'waited', from: 3, until: 3 },
    { attempt: 2, what: 'ran', from: 3, until: 4 },
  ]);
});
