// Numbers and times as people read them: always with a unit.

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `1.2 GiB`. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  // What would be rounded to 1024 belongs to the next unit.
  while (Math.abs(value) >= 1023.5 && unit < BINARY.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || Math.abs(value) >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${BINARY[unit] ?? 'B'}`;
}

/** `12,345`. */
export function count(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: 2 });
}

/** `45 %`, of a part between 0 and 1. */
export function percent(part: number): string {
  const value = part * 100;
  return `${value > 0 && value < 10 ? value.toFixed(1) : value.toFixed(0)} %`;
}

/** `3.4 s`, `250 ms`, `5 min`, `2 h 5 min`, `3 d`. */
export function seconds(value: number): string {
  if (value < 0) return `−${seconds(-value)}`;
  if (value === 0) return '0 s';
  if (value < 0.001) return `${(value * 1e6).toFixed(0)} µs`;
  if (value < 1) return `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms`;
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 90) return `${value.toFixed(0)} s`;
  if (value < 3600) return `${(value / 60).toFixed(0)} min`;
  if (value < 86_400) {
    const hours = Math.floor(value / 3600);
    const minutes = Math.floor((value % 3600) / 60);
    return minutes === 0 ? `${hours} h` : `${hours} h ${minutes} min`;
  }
  return `${(value / 86_400).toFixed(value < 864_000 ? 1 : 0)} d`;
}

/** `5 s ago`; what lies ahead is `in 5 d`. */
export function ago(then: number, now: number): string {
  const past = (now - then) / 1000;
  if (past < -1) return `in ${wholeSeconds(-past)}`;
  if (past < 1) return 'now';
  return `${wholeSeconds(past)} ago`;
}

/** As `seconds`, without fractions of one. */
export function wholeSeconds(value: number): string {
  return value < 90 ? `${Math.max(0, Math.floor(value))} s` : seconds(value);
}

/** Local time of day, with the date unless it is today's. */
export function clock(time: Date, now: Date): string {
  const sameDay = time.toDateString() === now.toDateString();
  const options: Intl.DateTimeFormatOptions = {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hour12: false,
  };
  if (sameDay) return time.toLocaleTimeString('en-GB', options);
  const date: Intl.DateTimeFormatOptions = { day: 'numeric', month: 'short' };
  if (time.getFullYear() !== now.getFullYear()) date.year = 'numeric';
  return time.toLocaleString('en-GB', { ...date, ...options });
}

/** `host-1 and host-2`, `host-1, host-2 and 3 more`. */
export function listed(names: string[], shown = 3): string {
  if (names.length <= 1) return names[0] ?? '';
  if (names.length > shown) return `${names.slice(0, shown).join(', ')} and ${names.length - shown} more`;
  return `${names.slice(0, -1).join(', ')} and ${names[names.length - 1] ?? ''}`;
}

/** `1 call`, `2 calls`. */
export function plural(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}
