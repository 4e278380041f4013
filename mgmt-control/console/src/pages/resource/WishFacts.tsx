import type { Resource } from '../../api/resources';
import { StateBadge } from '../../parts/StateBadge';
import { words } from '../../words/en';

/** What a resource should be, and how far the command is on its way. */
export function WishFacts({ view: { row, wish, applied_generation } }: { view: Resource }) {
  return (
    <p>
      <StateBadge
        state={
          row.pending
            ? { tone: 'warning', word: words.command.wanted[wish.desired] }
            : {
                tone: wish.desired === 'production' ? 'ok' : 'closed',
                word: words.command.wanted[wish.desired],
              }
        }
      />{' '}
      {row.pending
        ? (row.connected ? words.command.lifePending : words.command.lifeAway)(
            wish.generation,
            applied_generation,
          )
        : words.command.lifeApplied(wish.generation)}
    </p>
  );
}
