import type { NeedView, OverviewView } from '../../api/types';
import { Icon } from '../../parts/Icon';
import { Section } from '../../parts/Page';
import { StateBadge } from '../../parts/StateBadge';
import { SubjectLink } from '../../parts/events/SubjectLink';
import { severityState } from '../../parts/events/severity';
import { words } from '../../words/en';
import { plural } from '../../words/format';
import { Remedy } from './Remedy';
import css from './Overview.module.css';

/** What needs a person, each with the reason and what helps. */
export function Needs({ overview: { needs, needs_total } }: { overview: OverviewView }) {
  if (needs.length === 0) {
    return (
      <p className={css.well}>
        <Icon name="ok" />
        {words.overview.well}
      </p>
    );
  }
  return (
    <Section
      flush
      title={words.overview.needs}
      beside={
        <span className="soft">
          {words.overview.shownOf(needs.length, plural(needs_total, 'matter'), needs_total)}
        </span>
      }
    >
      <ul className={css.needs}>
        {needs.map((need) => (
          <Need key={`${need.code} ${need.subject.kind} ${need.subject.id}`} need={need} />
        ))}
      </ul>
    </Section>
  );
}

function Need({ need }: { need: NeedView }) {
  return (
    <li className={css.need}>
      <StateBadge state={severityState(need.severity)} />
      <span className="name prose">
        <span className={css.subject}>
          <SubjectLink subject={need.subject} />
        </span>
        {' – '}
        {need.reason}
      </span>
      <Remedy need={need} />
    </li>
  );
}
