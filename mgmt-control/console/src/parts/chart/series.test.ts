import { describe, expect, it } from 'vitest';

import type { HistoryView } from '../../api/types';
import { charts, shown } from './series';

describe('a history', () => {
  const history = {
    span: 'hour',
    step_seconds: 15,
    end: '2026-01-01T00:01:00Z',
    metrics: [
      { name: 'used_slots', mean: [1, null, 3] },
      { name: 'memory_used_bytes', mean: [1024, 2048, 4096], max: [2048, 2048, 4096] },
      { name: 'running_jobs', mean: [0, 0, 1] },
      { name: 'load', mean: [null, null, null] },
    ],
  } as unknown as HistoryView;

  it('becomes one chart for each unit', () => {
    const made = charts(history);
    expect(made.map(({ unit, series }) => [unit, series.length])).toEqual([
      ['count', 2],
      ['bytes', 1],
    ]);
    const end = Date.parse('2026-01-01T00:01:00Z') / 1000;
    expect(made[0]?.times).toEqual([end - 30, end - 15, end]);
    expect(made[0]?.series[0]?.mean).toEqual([1, null, 3]);
  });

  it('has values with units', () => {
    expect([shown('bytes', 2048), shown('micros', 2500), shown('rate', 1.5), shown('count', 3)]).toEqual([
      '2.0 KiB',
      '2.5 ms',
      '1.5 /s',
      '3',
    ]);
  });
});
