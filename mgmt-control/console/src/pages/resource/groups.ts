import type { AccessRule } from '../../api/types';
import type { Resource } from '../../api/resources';

/** The four groups of a description. */
export interface Groups {
  info: Record<string, unknown>;
  state:
    | (Record<string, unknown> & {
        creation_time?: string;
        running_jobs?: number;
        health_state_info?: string;
      })
    | undefined;
  policy: Record<string, unknown>;
  access: { rules?: AccessRule[] };
}

/** The API document says no more of a description than that it is an object: one member, named for its kind. */
export function groupsOf(view: Resource): Groups {
  const description = Object.values(view.description as Record<string, unknown>)[0] as
    Partial<Groups> | undefined;
  return {
    info: description?.info ?? {},
    state: description?.state ?? undefined,
    policy: description?.policy ?? {},
    access: description?.access ?? {},
  };
}
