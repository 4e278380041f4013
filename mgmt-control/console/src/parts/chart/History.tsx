import { SegmentedControl } from '@mantine/core';
import { useQuery, type QueryKey } from '@tanstack/react-query';
import { lazy, Suspense, useMemo, useState } from 'react';

import type { HistoryView } from '../../api/types';
import { words } from '../../words/en';
import { Loaded } from '../ListState';
import { Section } from '../Page';
import { Skeleton } from '../Skeleton';
import { charts } from './series';
import css from './History.module.css';

export type Span = HistoryView['span'];

// The drawing is large, and no page is without words while it comes.
const Chart = lazy(async () => ({ default: (await import('./Chart')).Chart }));

/** As often as a value is added to the hour, and to the day. */
const STEP_MS: Record<Span, number> = { hour: 15_000, day: 300_000 };

interface Props {
  title: string;
  queryKey: (span: Span) => QueryKey;
  read: (span: Span, signal: AbortSignal) => Promise<HistoryView>;
}

/** How numbers were in the last hour or day. */
export function History({ title, queryKey, read }: Props) {
  const [span, setSpan] = useState<Span>('hour');
  const query = useQuery({
    queryKey: queryKey(span),
    queryFn: ({ signal }) => read(span, signal),
    refetchInterval: STEP_MS[span],
  });
  return (
    <Section
      title={title}
      beside={
        <SegmentedControl
          aria-label={words.chart.span}
          value={span}
          onChange={(next) => setSpan(next)}
          data={[
            { value: 'hour', label: words.chart.hour },
            { value: 'day', label: words.chart.day },
          ]}
        />
      }
    >
      <Loaded query={query} lines={8}>
        {(history) => <Charts history={history} />}
      </Loaded>
    </Section>
  );
}

function Charts({ history }: { history: HistoryView }) {
  const made = useMemo(() => charts(history), [history]);
  if (made.length === 0) return <p className="soft">{words.chart.none}</p>;
  return (
    <div className={css.charts}>
      <Suspense fallback={<Skeleton lines={8} />}>
        {made.map((data) => (
          <Chart key={data.unit} data={data} />
        ))}
      </Suspense>
    </div>
  );
}
