import { Link } from '@tanstack/react-router';

import type { OverviewView } from '../../api/types';
import { words } from '../../words/en';
import { count, percent, seconds, wholeSeconds } from '../../words/format';
import { Figure } from './Figure';
import css from './Overview.module.css';

/** What is called now, and how it went in the last minutes. */
export function CallFigures({ calls }: { calls: OverviewView['calls'] }) {
  const micros = (value: number | null | undefined) =>
    typeof value === 'number' ? seconds(value / 1e6) : '–';
  return (
    <>
      <div className={css.figures}>
        <Figure label={words.overview.running} value={count(calls.running)} />
        <Figure label={words.overview.waiting} value={count(calls.waiting)} />
        <Figure label={words.overview.perSecond} value={`${count(calls.per_second)} /s`} />
        <Figure
          label={words.overview.failures}
          value={calls.ended === 0 ? '–' : percent(calls.failed / calls.ended)}
          tone={calls.failed > 0 ? 'warning' : undefined}
        >
          <span className="soft">{words.overview.failedOf(calls.failed, calls.ended)}</span>
        </Figure>
        <Figure label={words.overview.p50} value={micros(calls.p50_us)} />
        <Figure label={words.overview.p95} value={micros(calls.p95_us)} />
      </div>
      <p className="soft">
        {words.overview.span(wholeSeconds(calls.span_seconds))} <Link to="/calls">{words.pages.calls}</Link>
      </p>
    </>
  );
}
