import { Link } from '@tanstack/react-router';

import type { EventView } from '../../api/types';
import { words } from '../../words/en';

type Subject = EventView['subject'];

/** Names of buckets and databases come with their Element's: `se-1/photos`. */
export function parted(name: string): { element?: string; name: string } {
  const slash = name.indexOf('/');
  return slash < 0 ? { name } : { element: name.slice(0, slash), name: name.slice(slash + 1) };
}

const isResource = (kind: string) =>
  kind === 'node' || (Object.hasOwn(words.kind, kind) && kind !== 'control');

/** What an event is about, as the way to its page where it has one. */
export function SubjectLink({ subject: { kind, id, name } }: { subject: Subject }) {
  const shown = <span className="name">{name}</span>;
  if (isResource(kind)) {
    return (
      <Link to="/resources/$id" params={{ id }}>
        {shown}
      </Link>
    );
  }
  if (kind === 'application') {
    const [application = id, version] = name.split('@');
    return (
      <Link to="/applications/$name" params={{ name: application }} search={{ version }}>
        {shown}
      </Link>
    );
  }
  const { element, name: own } = parted(name);
  if (kind === 'bucket') {
    return (
      <Link to="/files/$bucket" params={{ bucket: own }} search={{ element }}>
        {shown}
      </Link>
    );
  }
  if (kind === 'database') {
    return (
      <Link to="/data/$database" params={{ database: own }} search={{ element }}>
        {shown}
      </Link>
    );
  }
  return shown;
}
