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
          <span className="name">
            <SubjectLink subject={event.subject} /> <span>{event.text}</span>
            {event.actor && <span className="soft"> ({words.overview.by(event.actor)})</span>}
          </span>
        </li>
      ))}
    </ol>
  );
}
