import { describe, expect, it } from 'vitest';

import { activityState, deploymentState, resourceState } from './state';

const well = {
  condition: 'ok',
  connected: true,
  desired: 'production',
  pending: false,
} as const;

describe('the state of a resource', () => {
  it('is what the server says, with the command on its way', () => {
    expect(resourceState(well)).toEqual({ tone: 'ok', word: 'Well' });
    expect(resourceState({ ...well, condition: 'away', connected: false, pending: true })).toEqual({
      tone: 'critical',
      word: 'Away',
    });
    expect(resourceState({ ...well, condition: 'critical', pending: true }).word).toBe('Not well');
    expect(resourceState({ ...well, pending: true, desired: 'closed' }).word).toBe('Stopping');
    expect(resourceState({ ...well, condition: 'draining' }).tone).toBe('closed');
  });
});

describe('other states', () => {
  it('keeps a name that it does not know', () => {
    expect(deploymentState('installedbroken').tone).toBe('critical');
    expect(deploymentState('somethingnew')).toEqual({ tone: 'unknown', word: 'somethingnew' });
  });

  it('tells an end with an exit code from a good one', () => {
    expect(activityState('Finished', 0).tone).toBe('ok');
    expect(activityState('Finished', 3)).toEqual({ tone: 'warning', word: 'Exit code 3' });
    expect(activityState('Running:Moving')).toEqual({ tone: 'ok', word: 'Running (moving)' });
  });
});
