import type { ResourceRow, TopologyView } from '../api/types';

interface Places {
  hosts: Map<string, number>;
  elements: Map<string, number>;
}

/** Where things stand in the columns; made once for each picture. */
const known = new WeakMap<string[], Places>();

function placesOf({ hosts, elements }: TopologyView): Places {
  let places = known.get(hosts.ids);
  if (!places) {
    places = {
      hosts: new Map(hosts.ids.map((id, index) => [id, index])),
      elements: new Map(elements.map(({ id }, index) => [id, index])),
    };
    known.set(hosts.ids, places);
  }
  return places;
}

/** What is used of slots or bytes, in percent. */
export function usedPercent(row: ResourceRow): number | null {
  const [total, free] =
    typeof row.total_slots === 'number'
      ? [row.total_slots, row.free_slots]
      : [row.total_bytes, row.free_bytes];
  if (typeof total !== 'number' || typeof free !== 'number' || total === 0) return null;
  return Math.round((100 * (total - free)) / total);
}

/** Puts changed rows into the picture; `strange` tells of some that it has no place for. */
export function patchTopology(
  topology: TopologyView,
  changed: ResourceRow[],
): { topology: TopologyView; strange: boolean } {
  const places = placesOf(topology);
  const conditions = [...topology.hosts.conditions];
  const used = [...topology.hosts.used_percent];
  const elements = [...topology.elements];
  let strange = false;
  for (const row of changed) {
    const host = places.hosts.get(row.id);
    const place = places.elements.get(row.id);
    const element = place === undefined ? undefined : elements[place];
    if (host !== undefined) {
      conditions[host] = row.condition ?? 'unknown';
      used[host] = usedPercent(row);
    } else if (element && place !== undefined) {
      elements[place] = { ...element, condition: row.condition ?? 'unknown' };
    } else strange = true;
  }
  // The column of ids stays the very same, and with it where things stand.
  return {
    topology: { ...topology, elements, hosts: { ...topology.hosts, conditions, used_percent: used } },
    strange,
  };
}
