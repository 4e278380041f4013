import type { DatabaseView } from '../../api/types';
import type { StateWord, Tone } from '../../parts/state';
import { words } from '../../words/en';

/** How a database is, by its shadows. */
export function databaseState({ database: { state } }: DatabaseView): StateWord {
  if (!state) return { tone: 'unknown', word: words.data.silent };
  const { shadow_count: all, fresh_shadow_count: fresh } = state;
  if (all === 0) return { tone: 'ok', word: words.data.noShadows };
  return { tone: fresh === all ? 'ok' : 'warning', word: words.data.fresh(fresh, all) };
}

export interface Copy {
  host: string;
  name: string;
  role: 'core' | 'shadow';
  state: StateWord;
  position: number | undefined;
  /** Entries of the log that the core has and this copy has not. */
  behind: number | undefined;
  size: number | undefined;
  partial: boolean;
  check: { rows: number; differences: number; time: string } | undefined;
  logRoom: number | undefined;
}

const TONES: Record<string, Tone> = {
  synchronised: 'ok',
  catchingup: 'warning',
  initialising: 'warning',
  diverged: 'critical',
  detached: 'closed',
};

/** The copies of a database, the core first. */
export function copiesOf({ database, host_names }: DatabaseView): Copy[] {
  const replicas = database.replicas?.replicas ?? [];
  const core = replicas.find(({ role }) => role === 'core')?.state;
  return replicas
    .map(({ host, role, state, filter }) => {
      const id = host.replace('urn:uuid:', '');
      const check = state?.check;
      return {
        host: id,
        name: host_names?.[id] ?? id,
        role,
        state: state
          ? {
              tone: TONES[state.sync_state] ?? 'unknown',
              word: words.data.sync[state.sync_state] ?? state.sync_state,
            }
          : { tone: 'critical' as const, word: words.data.silent },
        position: state?.log_position,
        behind: state && core ? Math.max(0, core.log_position - state.log_position) : undefined,
        size: state?.used_size,
        partial: Boolean(filter),
        check: check
          ? { rows: check.row_count, differences: check.difference_count, time: check.creation_time }
          : undefined,
        logRoom: state?.log_room ?? undefined,
      };
    })
    .sort((a, b) => Number(b.role === 'core') - Number(a.role === 'core') || a.name.localeCompare(b.name));
}
