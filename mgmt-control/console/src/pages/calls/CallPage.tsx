import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { CallRecord } from '../../api/types';
import { Facts } from '../../parts/Facts';
import { Loaded } from '../../parts/ListState';
import { Page, Section } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { StateBadge } from '../../parts/StateBadge';
import { activityState } from '../../parts/state';
import { Clock } from '../../parts/Time';
import { words } from '../../words/en';
import { bytes, seconds } from '../../words/format';
import { TimeLine } from './TimeLine';
import { Why } from './Why';

export function CallPage() {
  const { id } = useParams({ from: '/shell/calls/$id' });
  const query = useQuery({
    queryKey: keys.call(id),
    queryFn: ({ signal }) => ask(api.GET('/api/v1/calls/{id}', { params: { path: { id } }, signal })),
  });
  const last = query.data?.attempts.at(-1);
  return (
    <Page
      title={last ? `${last.application} ${last.version}` : words.calls.call}
      beside={
        last && (
          <>
            <StateBadge state={activityState(last.end.state, last.end.exit_code)} />
            <code className="soft">{id}</code>
          </>
        )
      }
    >
      <Loaded query={query} lines={10}>
        {({ attempts }) => (
          <>
            <Section title={words.calls.timeline}>
              <TimeLine attempts={attempts} />
            </Section>
            {attempts.map((attempt, index) => (
              <Section key={attempt.ended} title={words.calls.attempt(index + 1)}>
                <Attempt attempt={attempt} />
              </Section>
            ))}
            <Why id={id} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Attempt({ attempt: { owner, host, submitted, ended, job, part, end } }: { attempt: CallRecord }) {
  const facts = [
    { label: words.common.state, value: <StateBadge state={activityState(end.state, end.exit_code)} /> },
    { label: words.calls.host, value: <ResourceName id={host} /> },
    { label: words.calls.owner, value: <span className="name">{owner}</span> },
    { label: words.calls.submitted, value: <Clock time={submitted} /> },
    { label: words.calls.endedAt, value: <Clock time={ended} /> },
    { label: words.calls.wall, value: seconds(end.wall_us / 1e6) },
    { label: words.calls.cpu, value: seconds(end.cpu_us / 1e6) },
    { label: words.calls.memory, value: bytes(end.max_resident_bytes) },
    { label: words.calls.output, value: bytes(end.stdout_bytes) },
    { label: words.calls.errors, value: bytes(end.stderr_bytes) },
  ];
  if (typeof end.signal === 'number')
    facts.push({ label: words.calls.endedBy, value: words.calls.signal(end.signal) });
  if (job)
    facts.push({ label: words.calls.map, value: <code>{`${job} · ${words.calls.part(part ?? 0)}`}</code> });
  return (
    <>
      {end.reason && <p className="name">{end.reason}</p>}
      <Facts facts={facts} />
    </>
  );
}
