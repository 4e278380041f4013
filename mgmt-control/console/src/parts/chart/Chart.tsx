import 'uplot/dist/uPlot.min.css';

import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import UPlot, { type AlignedData, type Options } from 'uplot';

import { clock } from '../../words/format';
import { shown, type ChartData } from './series';
import css from './Chart.module.css';

const HEIGHT = 170;
const AXIS_WIDTH = 66;
/** Bytes are told in powers of two, so their axis has steps of such. */
const BYTE_STEPS = Array.from({ length: 52 }, (_, power) => 2 ** power);

/** Numbers over time. The newest of each stands below in words, for who sees no picture. */
export function Chart({ data }: { data: ChartData }) {
  const place = useRef<HTMLDivElement>(null);
  const scheme = useComputedColorScheme();
  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const plot = new UPlot(optionsOf(data, element), dataOf(data), element);
    const sized = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    sized.observe(element);
    return () => {
      sized.disconnect();
      plot.destroy();
    };
  }, [data, scheme]);
  return (
    <figure className={css.chart}>
      <figcaption className={css.caption}>
        {data.series.map(({ name, mean }, index) => {
          const last = mean.findLast((value) => value !== null);
          return (
            <span key={name} className={css.key} data-series={index + 1}>
              {name}
              {typeof last === 'number' && <span className="number">{shown(data.unit, last)}</span>}
            </span>
          );
        })}
      </figcaption>
      <div ref={place} className={css.plot} style={{ minHeight: HEIGHT }} />
    </figure>
  );
}

/** The means, and where there are, the largest values as thin lines. */
function dataOf({ times, series }: ChartData): AlignedData {
  const columns = series.flatMap(({ mean, max }) => (max.length === 0 ? [mean] : [mean, max]));
  return [times, ...columns];
}

function optionsOf({ unit, series }: ChartData, element: Element): Options {
  const style = getComputedStyle(element);
  const value = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: value('--ink-soft'), font: `12px ${style.fontFamily}`, ticks: { show: false } };
  const grid = { stroke: value('--line'), width: 1 };
  const now = new Date();
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { setScale: false, x: false, y: false } },
    padding: [12, 22, 0, 0],
    scales: { y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] } },
    axes: [
      {
        ...axis,
        size: 28,
        grid: { show: false },
        values: (_, ticks) => ticks.map((tick) => hourOf(tick, now)),
      },
      {
        ...axis,
        grid,
        size: AXIS_WIDTH,
        ...(unit === 'bytes' && { incrs: BYTE_STEPS }),
        values: (_, ticks) => ticks.map((tick) => shown(unit, tick)),
      },
    ],
    series: [
      {},
      ...series.flatMap(({ name, max }, index) => {
        const stroke = value(`--series-${(index % 3) + 1}`);
        const line = { label: name, stroke, width: 1.6, points: { show: false }, spanGaps: false };
        return max.length === 0 ? [line] : [line, { ...line, width: 0.7, dash: [3, 3] }];
      }),
    ],
  };
}

function hourOf(time: number, now: Date): string {
  return clock(new Date(time * 1000), now).slice(0, -3);
}
