import type { HistoryView } from '../../api/types';
import { words } from '../../words/en';
import { bytes, count, percent, seconds } from '../../words/format';

export type Unit = 'count' | 'bytes' | 'micros' | 'rate' | 'percent' | 'nodes';

export interface Series {
  name: string;
  mean: (number | null)[];
  max: (number | null)[];
}

export interface ChartData {
  title: string;
  unit: Unit;
  /** Seconds since 1970. */
  times: number[];
  series: Series[];
}

export function unitOf(metric: string): Unit {
  if (metric.endsWith('_bytes')) return 'bytes';
  // Not on one scale with slots and calls.
  if (metric === 'away') return 'nodes';
  if (metric.endsWith('_percent')) return 'percent';
  if (metric.endsWith('_us')) return 'micros';
  return metric.endsWith('per_second') ? 'rate' : 'count';
}

/** A value of a chart in words. */
export function shown(unit: Unit, value: number): string {
  if (unit === 'bytes') return bytes(value);
  if (unit === 'micros') return seconds(value / 1e6);
  if (unit === 'percent') return percent(value / 100);
  return unit === 'rate' ? `${count(value)} /s` : count(value);
}

/** One chart for each unit: what is counted alike is compared on one scale. Empty series are left out. */
export function charts({ metrics, end, step_seconds }: HistoryView): ChartData[] {
  const last = Date.parse(end) / 1000;
  const byUnit = new Map<Unit, ChartData>();
  for (const { name, mean, max = [] } of metrics) {
    if (!mean.some((value) => typeof value === 'number')) continue;
    const unit = unitOf(name);
    const times = mean.map((_, index) => last - (mean.length - 1 - index) * step_seconds);
    const chart = byUnit.get(unit) ?? { title: '', unit, times, series: [] };
    const label = words.chart.metrics[name] ?? name.replaceAll('_', ' ');
    chart.series.push({
      name: label,
      mean: mean.map((value) => value ?? null),
      max: max.map((value) => value ?? null),
    });
    byUnit.set(unit, chart);
  }
  return [...byUnit.values()].map((chart) => ({
    ...chart,
    title: chart.series.map(({ name }) => name).join(', '),
  }));
}
