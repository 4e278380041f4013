import { Link } from '@tanstack/react-router';

import type { EventView } from '../../api/types';
import { words } from '../../words/en';

const isResource = (kind: string) => Object.hasOwn(words.kind, kind) && kind !== 'control';

/** What an event is about, as the way to its page where it has one. */
export function SubjectLink({ subject: { kind, id, name } }: { subject: EventView['subject'] }) {
  if (isResource(kind)) {
    return (
      <Link to="/resources/$id" params={{ id }} className="name">
        {name}
      </Link>
    );
  }
  if (kind === 'application') {
    return (
      <Link to="/applications/$name" params={{ name: id.split('@')[0] ?? id }} className="name">
        {name}
      </Link>
    );
  }
  if (kind === 'bucket') {
    return (
      <Link to="/files/$bucket" params={{ bucket: name }} className="name">
        {name}
      </Link>
    );
  }
  if (kind === 'database') {
    return (
      <Link to="/data/$database" params={{ database: name }} className="name">
        {name}
      </Link>
    );
  }
  return <span className="name">{name}</span>;
}
