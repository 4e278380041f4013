// A resource's description, of whatever kind, as names and values. The names are those of the
// documents; what a number means is told by its name.
import { bytes, count, seconds } from '../../words/format';

export interface Described {
  label: string;
  /** Text; a moment is told as such, so that it can be shown in local time. */
  value: string | { time: string } | { link: string };
}

const BYTES =
  /(^size$|_size|_space|_bytes|memory|_file_size|^used_size|ram_available|virtual_available|quota|log_room)$/;
const SECONDS = /(validity|_wall_time|_wall_clock_time|_cpu_time|_response_time|_busy_time_avg|_life_time)$/;
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;
const COUNTED = /(smp_size|block_count|_count)$/;

/** `total_online_size` → `Total online size`. */
export function labelOf(key: string): string {
  const words = key.replaceAll('_', ' ');
  const known = words.replace(/\b(cpu|cpus|ip|mtu|xml|id|lrms|io|ram|smp|tls)\b/g, (word) =>
    word === 'cpus' ? 'CPUs' : word.toUpperCase(),
  );
  return known.charAt(0).toUpperCase() + known.slice(1);
}

/** A label in the middle of another; what is written in capitals stays so. */
function within(label: string): string {
  return /^[A-Z]{2}/.test(label) ? label : label.charAt(0).toLowerCase() + label.slice(1);
}

function numberOf(key: string, value: number): string {
  if (COUNTED.test(key)) return count(value);
  if (BYTES.test(key)) return bytes(value);
  if (SECONDS.test(key)) return seconds(value);
  if (key === 'clock_speed') return `${count(value)} MHz`;
  return count(value);
}

function valueOf(key: string, value: unknown): Described['value'] | undefined {
  if (typeof value === 'number') return numberOf(key, value);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value !== 'string') return undefined;
  if (MOMENT.test(value)) return { time: value };
  if (key === 'element' && value.startsWith('urn:uuid:')) return { link: value.slice('urn:uuid:'.length) };
  return value;
}

/** Lays a group out flat: what is nested bears the names on the way to it. */
export function describe(group: unknown, prefix = ''): Described[] {
  if (typeof group !== 'object' || group === null) return [];
  const facts: Described[] = [];
  for (const [key, value] of Object.entries(group as Record<string, unknown>)) {
    if (value === null || value === undefined || key === 'extensions') continue;
    const label = prefix === '' ? labelOf(key) : `${prefix} · ${within(labelOf(key))}`;
    if (Array.isArray(value)) facts.push(...describeList(key, label, value));
    else if (typeof value === 'object') facts.push(...describe(value, label));
    else {
      const shown = valueOf(key, value);
      if (shown !== undefined) facts.push({ label, value: shown });
    }
  }
  return facts;
}

function describeList(key: string, label: string, list: unknown[]): Described[] {
  if (list.length === 0) return [];
  if (list.every((one) => typeof one !== 'object')) {
    return [
      {
        label,
        value: list.map((one) => (typeof one === 'number' ? numberOf(key, one) : String(one))).join(', '),
      },
    ];
  }
  return list.flatMap((one, index) => {
    const named = one as Record<string, unknown>;
    const key = ['name', 'root', 'local_id'].find((known) => typeof named[known] === 'string');
    const name = key === undefined ? index + 1 : named[key];
    // What names it stands in the label already.
    return describe(key === undefined ? named : { ...named, [key]: undefined }, `${label} ${String(name)}`);
  });
}
