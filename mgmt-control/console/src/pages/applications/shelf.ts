import type { ApplicationView } from '../../api/types';

/** An application with all of its versions, newest first. */
export interface Shelved {
  name: string;
  versions: ApplicationView[];
  /** The one that the name alone means. */
  main: ApplicationView;
}

export function shelf(all: ApplicationView[]): Shelved[] {
  const byName = new Map<string, ApplicationView[]>();
  for (const one of all) byName.set(one.name, [...(byName.get(one.name) ?? []), one]);
  return [...byName.entries()]
    .map(([name, found]) => {
      const versions = found.sort((a, b) => b.uploaded.localeCompare(a.uploaded));
      return { name, versions, main: versions.find((one) => one.default) ?? versions[0] };
    })
    .filter((one): one is Shelved => one.main !== undefined)
    .sort((a, b) => a.name.localeCompare(b.name));
}
