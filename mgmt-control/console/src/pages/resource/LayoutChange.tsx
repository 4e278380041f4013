import { Button } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { LayoutTold } from '../../api/types';
import { ConfirmButton } from '../../parts/ConfirmButton';
import { Section } from '../../parts/Page';
import { ProblemView } from '../../parts/ProblemView';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { bytes, listed, seconds } from '../../words/format';
import css from '../../parts/command/Command.module.css';

/** What is staged or being done to where blocks are kept, and the buttons for it. */
export function LayoutChange({ id, told }: { id: string; told: LayoutTold }) {
  const may = useMay();
  const { staged, applied, hosts } = told;
  if (!staged && !applied) return null;
  const nameOf = (host: string) => hosts.find((one) => one.host === host)?.name ?? host;
  const what = ({ drain, rebalance }: { drain?: string[]; rebalance?: boolean }) =>
    [
      ...(drain && drain.length > 0 ? [words.layout.emptied(listed(drain.map(nameOf)))] : []),
      ...(rebalance === true ? [words.layout.spread] : []),
    ].join(' ');
  const path = { id };
  return (
    <>
      {staged && (
        <Section title={words.layout.staged}>
          <p>{what(staged.layout)}</p>
          <p>{words.layout.plan(staged.blocks, bytes(staged.bytes), seconds(staged.seconds))}</p>
          <p className="soft">{staged.redundancy}</p>
          {staged.stuck && <p className="name">{staged.stuck}</p>}
          <div className={css.row}>
            {may('LayoutApply') && (
              <ConfirmButton
                label={words.layout.apply}
                name={what(staged.layout)}
                text={words.layout.applyText}
                act={() => ask(api.POST('/api/v1/resources/{id}/layout/apply', { params: { path } }))}
              />
            )}
            {may('LayoutRevert') && <Revert id={id} label={words.layout.takeBack} />}
          </div>
        </Section>
      )}
      {applied && (
        <Section title={words.layout.applied}>
          <p>{what(applied.layout)}</p>
          <p role="status">{words.layout.moving(applied.blocks_left, bytes(applied.bytes_left))}</p>
          {applied.waits && <p className="name">{applied.waits}</p>}
          {may('LayoutRevert') && !staged && (
            <div>
              <Revert id={id} label={words.layout.stop} />
            </div>
          )}
        </Section>
      )}
    </>
  );
}

function Revert({ id, label }: { id: string; label: string }) {
  return (
    <ConfirmButton
      label={label}
      name={words.resources.tabs.layout}
      text={words.layout.revertText}
      act={() => ask(api.POST('/api/v1/resources/{id}/layout/revert', { params: { path: { id } } }))}
    />
  );
}

interface StageProps {
  id: string;
  label: string;
  compact?: boolean;
  drain?: string[];
  rebalance?: boolean;
}

/** Stages a change: nothing is moved before it is begun. */
export function StageButton({ id, label, compact = false, drain = [], rebalance = false }: StageProps) {
  const client = useQueryClient();
  const stage = useMutation({
    mutationFn: () =>
      ask(api.PUT('/api/v1/resources/{id}/layout', { params: { path: { id } }, body: { drain, rebalance } })),
    onSuccess: (told) => client.setQueryData(keys.layout(id), told),
  });
  return (
    <>
      <Button
        variant="default"
        size={compact ? 'compact-xs' : 'xs'}
        loading={stage.isPending}
        onClick={() => stage.mutate()}
      >
        {label}
      </Button>
      {stage.isError && <ProblemView problem={stage.error} />}
    </>
  );
}
