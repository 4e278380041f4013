import { Link } from '@tanstack/react-router';

import type { OverviewView } from '../../api/types';
import { Section } from '../../parts/Page';
import { words } from '../../words/en';
import { count } from '../../words/format';
import { Counts } from './Kinds';
import css from './Overview.module.css';

/** The same by site; the list of resources is searched for its name. */
export function Domains({ domains }: { domains: OverviewView['domains'] }) {
  return (
    <Section title={words.overview.domains}>
      <ul className={css.kinds}>
        {domains.map(({ domain, ...counts }) => (
          <li key={domain} className={css.kind}>
            <Link to="/resources" search={{ search: domain }} className="name">
              {domain}
            </Link>
            <span className="number">{count(counts.total)}</span>
            <Counts counts={counts} search={{ search: domain }} />
          </li>
        ))}
      </ul>
    </Section>
  );
}
