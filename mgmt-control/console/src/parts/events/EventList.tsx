import type { EventView } from '../../api/types';
import { words } from '../../words/en';
import { StateBadge } from '../StateBadge';
import { Clock } from '../Time';
import { severityState } from './severity';
import { SubjectLink } from './SubjectLink';
import css from './EventList.module.css';

/** What happened, newest first. */
export function EventList({ events }: { events: EventView[] }) {
  if (events.length === 0) return <p className="soft">{words.overview.noEvents}</p>;
  return (
    <ol className={css.events}>
      {events.map((event) => (
        <li key={event.sequence} className={css.event}>
          <span className="soft">
            <Clock time={event.time} />
          </span>
          <StateBadge plain state={severityState(event.severity)} />
          <span className="name prose">
            <SubjectLink subject={event.subject} /> {rest(event)}
            {isPerson(event.actor) && <span className="soft"> ({words.overview.by(event.actor)})</span>}
          </span>
        </li>
      ))}
    </ol>
  );
}

/** The text without the name that it begins with: that stands before it, as a link. */
function rest({ text, subject }: EventView): string {
  return text.startsWith(subject.name) ? text.slice(subject.name.length).trimStart() : text;
}

/** Nodes do things under their id, which says nothing to people. */
function isPerson(actor: string | null | undefined): actor is string {
  return typeof actor === 'string' && !/^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(actor);
}
