import { describe, expect, it } from 'vitest';

import type { Activity, CallRecord } from '../api/types';
import { patchActivities, patchEnded } from './calls';

const activity = (id: string, application = 'a', state = 'Running') =>
  ({ id, application, state }) as Activity;
const ended = (call: string, time: string, application = 'a') =>
  ({ call, ended: time, application }) as CallRecord;

describe('calls, as the stream tells them', () => {
  it('come, change and go', () => {
    const now = { activities: [activity('1', 'a', 'Pending'), activity('2')], silent: [] };
    const delta = {
      whole: false,
      changed: [activity('1'), activity('3'), activity('4', 'b')],
      gone: ['2'],
      ended: [],
    };
    expect(
      patchActivities(now, delta, undefined).activities.map(({ id, state }) => `${id} ${state}`),
    ).toEqual(['1 Running', '3 Running', '4 Running']);
    expect(patchActivities(now, { ...delta, whole: true }, undefined).activities).toHaveLength(3);
    expect(patchActivities(now, delta, 'a').activities.map(({ id }) => id)).toEqual(['1', '3']);
  });

  it('end on top of the list, once', () => {
    const now = { pages: [{ items: [ended('1', '2026-01-01')] }], pageParams: [undefined] };
    const after = patchEnded(
      now,
      [ended('1', '2026-01-01'), ended('2', '2026-01-02'), ended('3', '2026-01-03')],
      undefined,
    );
    expect(after?.pages[0]?.items.map(({ call }) => call)).toEqual(['3', '2', '1']);
    expect(patchEnded(now, [ended('9', '2026-01-09', 'b')], 'a')).toBe(now);
    const many = Array.from({ length: 600 }, (_, index) => ended(`m${index}`, '2026-01-04'));
    expect(patchEnded(now, many, undefined)).toBeUndefined();
  });
});
