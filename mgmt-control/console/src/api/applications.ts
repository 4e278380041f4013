import { api, ask } from './client';
import type { ApplicationView } from './types';

/** All versions on the shelf, page after page; the server bounds how many there can be. */
export async function readApplications(signal?: AbortSignal): Promise<ApplicationView[]> {
  const all: ApplicationView[] = [];
  let after: string | undefined;
  do {
    const page = await ask(api.GET('/api/v1/applications', { params: { query: { after } }, signal }));
    all.push(...page.items);
    after = page.next ?? undefined;
  } while (after !== undefined);
  return all;
}

/** All versions of one application. */
export async function readVersions(name: string, signal?: AbortSignal): Promise<ApplicationView[]> {
  const path = { name };
  const page = await ask(api.GET('/api/v1/applications/{name}', { params: { path }, signal }));
  return page.items;
}
