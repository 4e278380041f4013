import { ago, clock } from '../words/format';
import { useNow } from './useNow';

/** A moment: local, the exact one as its title. */
export function Clock({ time }: { time: string }) {
  const then = new Date(time);
  return (
    <time dateTime={time} title={exact(then)} className="number">
      {clock(then, new Date())}
    </time>
  );
}

/** How long ago, or in how long. */
export function Ago({ time }: { time: string }) {
  const now = useNow();
  const then = new Date(time);
  return (
    <time dateTime={time} title={exact(then)} className="number">
      {ago(then.getTime(), now)}
    </time>
  );
}

function exact(time: Date): string {
  return `${time.toLocaleString('en-GB', { dateStyle: 'full', timeStyle: 'long' })} (${time.toISOString()})`;
}
