import { Link } from '@tanstack/react-router';

import type { Condition, ConditionCounts, OverviewView } from '../../api/types';
import { StateBadge } from '../../parts/StateBadge';
import { conditionTone } from '../../parts/state';
import { words } from '../../words/en';
import { count } from '../../words/format';
import css from './Overview.module.css';

const ORDER: Condition[] = ['critical', 'away', 'warning', 'draining', 'closed', 'unknown', 'ok'];

/** How many are how, the worst first; each leads to the list of them. */
export function Counts({ counts, search }: { counts: ConditionCounts; search: object }) {
  return (
    <span className={css.counts}>
      {ORDER.filter((condition) => counts[condition] > 0).map((condition) => (
        <Link key={condition} to="/resources" search={{ ...search, condition }}>
          <StateBadge
            plain
            state={{
              tone: conditionTone(condition),
              word: `${count(counts[condition])} ${words.state[condition].toLowerCase()}`,
            }}
          />
        </Link>
      ))}
    </span>
  );
}

export function Kinds({ kinds }: { kinds: OverviewView['kinds'] }) {
  if (kinds.length === 0) return <p className="soft">{words.resources.empty}</p>;
  return (
    <ul className={css.kinds}>
      {kinds.map(({ kind, ...counts }) => (
        <li key={kind} className={css.kind}>
          <Link to="/resources" search={{ kind }}>
            {words.kind[kind]}
          </Link>
          <span className="number">{count(counts.total)}</span>
          <Counts counts={counts} search={{ kind }} />
        </li>
      ))}
    </ul>
  );
}
