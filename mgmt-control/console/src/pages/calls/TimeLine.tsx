import type { CallRecord } from '../../api/types';
import { words } from '../../words/en';
import { seconds } from '../../words/format';
import css from './TimeLine.module.css';

export interface Stretch {
  attempt: number;
  what: 'waited' | 'ran';
  /** Seconds from the first submission. */
  from: number;
  until: number;
}

/** When the attempts of a call waited and ran; clocks of two machines may differ, so nothing is below zero. */
export function stretches(attempts: CallRecord[]): Stretch[] {
  const start = Math.min(...attempts.map(({ submitted }) => Date.parse(submitted)));
  return attempts.flatMap(({ submitted, ended, end }, index) => {
    const from = Math.max(0, (Date.parse(submitted) - start) / 1000);
    const until = Math.max(from, (Date.parse(ended) - start) / 1000);
    const began = Math.max(from, until - end.wall_us / 1e6);
    const attempt = index + 1;
    return [
      { attempt, what: 'waited' as const, from, until: began },
      { attempt, what: 'ran' as const, from: began, until },
    ];
  });
}

export function TimeLine({ attempts }: { attempts: CallRecord[] }) {
  const all = stretches(attempts);
  const whole = Math.max(...all.map(({ until }) => until), 1e-6);
  return (
    <ul className={css.lines}>
      {all.map(({ attempt, what, from, until }) => (
        <li key={`${attempt}-${what}`} className={css.line}>
          <span className={css.what}>
            {words.calls.attempt(attempt)} {what === 'ran' ? words.calls.ran : words.calls.waited}
          </span>
          <svg className={css.bar} viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
            <rect className={css.ground} width="100" height="10" />
            <rect
              className={css[what]}
              x={(100 * from) / whole}
              width={Math.max(0.5, (100 * (until - from)) / whole)}
              height="10"
            />
          </svg>
          <span className="number">{seconds(until - from)}</span>
        </li>
      ))}
    </ul>
  );
}
