import { Button, NativeSelect } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';

import { readVersions } from '../../api/applications';
import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { asProblem } from '../../api/problem';
import type { ApplicationView } from '../../api/types';
import { CommandButtons } from '../../parts/command/CommandButtons';
import type { Verb } from '../../parts/command/commands';
import { Copyable } from '../../parts/Copyable';
import { Facts } from '../../parts/Facts';
import { Loaded } from '../../parts/ListState';
import { Page, Section } from '../../parts/Page';
import { Clock } from '../../parts/Time';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { bytes } from '../../words/format';
import { Deployments } from './Deployments';
import { Logs } from './Logs';
import { Spread } from './Spread';
import { shelf } from './shelf';

const ACTIONS: Record<Verb, string> = {
  start: 'ApplicationStart',
  stop: 'ApplicationStop',
  kill: 'ApplicationKill',
};

export function ApplicationPage() {
  const { name } = useParams({ from: '/shell/applications/$name' });
  const query = useQuery({
    queryKey: keys.application(name),
    queryFn: ({ signal }) => readVersions(name, signal),
  });
  return (
    <Loaded query={query} lines={10}>
      {(versions) => <Versions name={name} all={versions} />}
    </Loaded>
  );
}

function Versions({ name, all }: { name: string; all: ApplicationView[] }) {
  const { version } = useSearch({ from: '/shell/applications/$name' });
  const navigate = useNavigate();
  const may = useMay();
  const known = shelf(all)[0];
  const shown = known?.versions.find((one) => one.version === version) ?? known?.main;
  if (!known || !shown) return null;
  const verbs = (['start', 'stop', 'kill'] as const)
    .filter((verb) => may(ACTIONS[verb]))
    .filter((verb) => verb === 'kill' || (verb === 'start') === (shown.wish.desired === 'closed'));
  return (
    <Page
      title={name}
      beside={
        <>
          <NativeSelect
            aria-label={words.applications.version}
            value={shown.version}
            onChange={(event) =>
              void navigate({
                to: '/applications/$name',
                params: { name },
                search: { version: event.currentTarget.value },
                replace: true,
              })
            }
            data={known.versions.map((one) => ({
              value: one.version,
              label: one.default
                ? `${one.version} (${words.applications.default.toLowerCase()})`
                : one.version,
            }))}
          />
          <Spread version={shown} />
        </>
      }
      actions={
        <>
          {!shown.default && may('ApplicationPromote') && <Promote version={shown} />}
          {verbs.length > 0 && (
            <CommandButtons
              target={{ kind: 'application', name, version: shown.version }}
              name={`${name}@${shown.version}`}
              verbs={verbs}
            />
          )}
        </>
      }
    >
      <Section title={words.resources.tabs.info}>
        {shown.description && <p className="name">{shown.description}</p>}
        <Facts
          facts={[
            {
              label: words.applications.capabilities,
              value: <span className="name">{shown.capabilities.join(', ') || '–'}</span>,
            },
            { label: words.common.kind, value: shown.kind },
            { label: words.applications.size, value: bytes(shown.size) },
            { label: words.applications.owner, value: <span className="name">{shown.owner}</span> },
            { label: words.applications.uploadedAt, value: <Clock time={shown.uploaded} /> },
            { label: words.applications.digest, value: <code>{shown.digest}</code> },
          ]}
        />
        <Copyable text={`gridmart call ${name}@${shown.version} --input -`} label={words.applications.call} />
      </Section>
      <Deployments version={shown} />
      {may('ApplicationLogs') && <Logs key={shown.version} name={name} version={shown.version} />}
    </Page>
  );
}

function Promote({ version: { name, version } }: { version: ApplicationView }) {
  const client = useQueryClient();
  const promote = useMutation({
    mutationFn: () =>
      ask(
        api.POST('/api/v1/applications/{name}/promote', { params: { path: { name }, query: { version } } }),
      ),
    onSuccess: () => {
      notifications.show({ color: 'green', message: words.applications.promoted(`${name} ${version}`) });
      return client.invalidateQueries({ queryKey: keys.applications() });
    },
    onError: (thrown) => notifications.show({ color: 'red', message: asProblem(thrown).message }),
  });
  return (
    <Button variant="default" loading={promote.isPending} onClick={() => promote.mutate()}>
      {words.applications.promote}
    </Button>
  );
}
