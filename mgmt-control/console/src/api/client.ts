// The one way to the API: typed by its document, with the session's proof on what changes things.
import createClient, { type Middleware } from 'openapi-fetch';

import { sessionStore } from '../session/store';
import { problemOf, unreachable } from './problem';
import type { paths } from './schema.gen';

export const CSRF_HEADER = 'x-gridmart-csrf';
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

const session: Middleware = {
  onRequest({ request }) {
    const csrf = sessionStore.get().view?.csrf;
    if (!SAFE.has(request.method) && csrf !== undefined) request.headers.set(CSRF_HEADER, csrf);
    return request;
  },
  onResponse({ response, schemaPath }) {
    if (response.status === 401 && schemaPath !== '/api/v1/session') sessionStore.lose();
  },
};

export const api = createClient<paths>({ baseUrl: location.origin, credentials: 'same-origin' });
api.use(session);

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Gives what was asked for, or throws an `ApiProblem`. */
export async function ask<T>(answer: Promise<Answer<T>>): Promise<T> {
  let got: Answer<T>;
  try {
    got = await answer;
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === 'AbortError') throw thrown;
    throw unreachable();
  }
  if (!got.response.ok) throw problemOf(got.response.status, got.error);
  return got.data as T;
}
