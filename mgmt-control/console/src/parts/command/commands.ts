import { api, ask } from '../../api/client';
import type { CommandView } from '../../api/types';

export type Verb = 'start' | 'stop' | 'kill';

/** What a command is given on. */
export type Target =
  | { kind: 'resource'; id: string }
  | { kind: 'application'; name: string; version?: string; host?: string }
  | { kind: 'call'; id: string }
  | { kind: 'job'; id: string }
  | { kind: 'transfer'; id: string }
  | { kind: 'sql-session'; id: string };

export function give(target: Target, verb: Verb): Promise<CommandView> {
  switch (target.kind) {
    case 'resource': {
      const params = { path: { id: target.id } };
      if (verb === 'start') return ask(api.POST('/api/v1/resources/{id}/start', { params }));
      if (verb === 'stop') return ask(api.POST('/api/v1/resources/{id}/stop', { params }));
      return ask(api.POST('/api/v1/resources/{id}/kill', { params }));
    }
    case 'application': {
      const { name, version, host } = target;
      const params = { path: { name }, query: { version, host } };
      if (verb === 'start') return ask(api.POST('/api/v1/applications/{name}/start', { params }));
      if (verb === 'stop') return ask(api.POST('/api/v1/applications/{name}/stop', { params }));
      return ask(api.POST('/api/v1/applications/{name}/kill', { params }));
    }
    case 'call':
      return ask(api.POST('/api/v1/calls/{id}/kill', { params: { path: { id: target.id } } }));
    case 'job':
      return ask(api.POST('/api/v1/jobs/{id}/kill', { params: { path: { id: target.id } } }));
    case 'transfer':
      return ask(api.POST('/api/v1/transfers/{id}/kill', { params: { path: { id: target.id } } }));
    case 'sql-session':
      return ask(api.POST('/api/v1/sql-sessions/{id}/kill', { params: { path: { id: target.id } } }));
  }
}

/** The command that takes another back; what was killed stays ended. */
export function undoOf(verb: Verb): Verb | undefined {
  if (verb === 'start') return 'stop';
  return verb === 'stop' ? 'start' : undefined;
}
