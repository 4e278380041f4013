import { Button, NativeSelect } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { notifications } from '@mantine/notifications';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { asProblem } from '../../api/problem';
import type { DatabaseView } from '../../api/types';
import { ConfirmButton } from '../../parts/ConfirmButton';
import { FormDialog } from '../../parts/FormDialog';
import { Icon } from '../../parts/Icon';
import { Section } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { SimpleTable } from '../../parts/SimpleTable';
import { StateBadge } from '../../parts/StateBadge';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { bytes, count } from '../../words/format';
import { copiesOf, type Copy } from './copies';
import { PromoteButton } from './PromoteButton';
import css from '../people/People.module.css';

/** The core of a database and the shadows that follow it. */
export function Copies({ view }: { view: DatabaseView }) {
  const may = useMay();
  const [adding, setAdding] = useState(false);
  const { name } = view.database;
  const query = { element: view.element };
  const check = useMutation({
    mutationFn: () =>
      ask(
        api.POST('/api/v1/databases/{name}/shadows/check', { params: { path: { name }, query }, body: {} }),
      ),
    onError: (thrown) => notifications.show({ color: 'red', message: asProblem(thrown).message }),
  });
  const copies = copiesOf(view);
  const room = copies.find(({ role }) => role === 'core')?.logRoom;
  return (
    <Section
      flush
      title={words.data.copies}
      beside={
        <>
          {may('ShadowCheck') && copies.length > 1 && (
            <Button variant="default" loading={check.isPending} onClick={() => check.mutate()}>
              {words.data.check}
            </Button>
          )}
          {may('ShadowAdd') && (
            <Button
              variant="default"
              leftSection={<Icon name="plus" size={14} />}
              onClick={() => setAdding(true)}
            >
              {words.data.add}
            </Button>
          )}
        </>
      }
    >
      <SimpleTable
        label={words.data.copies}
        titles={[
          words.calls.host,
          words.data.role,
          words.common.state,
          words.data.position,
          words.data.lag,
          words.data.size,
          words.data.compared,
          words.common.actions,
        ]}
        ends={[3, 5]}
        rows={copies.map((copy) => ({
          key: copy.host,
          cells: [
            <ResourceName id={copy.host} name={copy.name} />,
            `${words.data.roles[copy.role] ?? copy.role}${copy.partial ? `, ${words.data.partial}` : ''}`,
            <StateBadge state={copy.state} />,
            copy.position === undefined ? '–' : count(copy.position),
            copy.role === 'core' || copy.behind === undefined ? '–' : words.data.behind(copy.behind),
            copy.size === undefined ? '–' : bytes(copy.size),
            compared(copy),
            copy.role === 'shadow' ? <CopyActions view={view} copy={copy} may={may} /> : '',
          ],
        }))}
      />
      {room !== undefined && <p className={`soft ${css.note}`}>{words.data.room(bytes(room))}</p>}
      {adding && <AddShadow view={view} onClose={() => setAdding(false)} />}
    </Section>
  );
}

function compared({ check, role }: Copy) {
  if (role === 'core' || !check) return '–';
  if (check.differences === 0) return words.data.checkSame(check.rows);
  return <StateBadge state={{ tone: 'critical', word: words.data.checkDiffers(check.differences) }} />;
}

function CopyActions({
  view,
  copy,
  may,
}: {
  view: DatabaseView;
  copy: Copy;
  may: (action: string) => boolean;
}) {
  const { name } = view.database;
  const query = { element: view.element };
  return (
    <span className={css.actions}>
      {may('ShadowPromote') && !copy.partial && <PromoteButton view={view} copy={copy} />}
      {may('ShadowRemove') && (
        <ConfirmButton
          compact
          dangerous
          label={words.data.remove}
          name={copy.name}
          text={words.data.removeText(copy.name)}
          done={words.data.removed(copy.name)}
          act={() =>
            ask(
              api.DELETE('/api/v1/databases/{name}/shadows/{host}', {
                params: { path: { name, host: copy.host }, query },
              }),
            )
          }
        />
      )}
    </span>
  );
}

function AddShadow({ view, onClose }: { view: DatabaseView; onClose: () => void }) {
  const [host, setHost] = useState('');
  const { name } = view.database;
  const wanted = { kind: 'dhost' as const, element: view.element, limit: 1000 };
  const hosts = useQuery({
    queryKey: keys.resourcePage(wanted),
    queryFn: ({ signal }) => ask(api.GET('/api/v1/resources', { params: { query: wanted }, signal })),
  });
  const taken = new Set(copiesOf(view).map((copy) => copy.host));
  const free = (hosts.data?.items ?? []).filter(({ id }) => !taken.has(id));
  return (
    <FormDialog
      opened
      title={words.data.add}
      submit={words.data.add}
      act={() =>
        ask(
          api.POST('/api/v1/databases/{name}/shadows', {
            params: { path: { name }, query: { element: view.element } },
            body: host === '' ? {} : { host },
          }),
        )
      }
      onDone={() => {
        notifications.show({ color: 'green', message: words.data.added });
        onClose();
      }}
      onClose={onClose}
    >
      <NativeSelect
        label={words.data.addHost}
        value={host}
        onChange={(event) => setHost(event.currentTarget.value)}
        data={[
          { value: '', label: words.data.addAny },
          ...free.map(({ id, name: label }) => ({ value: id, label })),
        ]}
      />
    </FormDialog>
  );
}
