import { Checkbox, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { Icon } from '../../parts/Icon';
import { ProblemView } from '../../parts/ProblemView';
import { Section } from '../../parts/Page';
import { Skeleton } from '../../parts/Skeleton';
import { words } from '../../words/en';
import { clock } from '../../words/format';
import { matches, merge, type Line, type Read } from './logLines';
import css from './Logs.module.css';

/** Logs are asked for by cursor: each answer has only what is new. */
const FOLLOW_MS = 2_000;

/** What the calls of a version print to stderr, as they do. */
export function Logs({ name, version }: { name: string; version: string }) {
  const [follow, setFollow] = useState(true);
  const [search, setSearch] = useState('');
  const read = useRef<Read>({ lines: [], cursors: {} });
  const query = useQuery({
    queryKey: keys.logs(name, version),
    queryFn: async ({ signal }) => {
      const cursors = JSON.stringify(read.current.cursors);
      const told = await ask(
        api.GET('/api/v1/applications/{name}/logs', {
          params: { path: { name }, query: { version, cursors } },
          signal,
        }),
      );
      read.current = merge(read.current, told);
      return read.current.lines;
    },
    refetchInterval: follow ? FOLLOW_MS : false,
    gcTime: 0,
    staleTime: 0,
  });
  const lines = query.data ?? [];
  const shown = lines.filter((line) => matches(line, search));
  return (
    <Section
      title={words.applications.logs}
      beside={
        <>
          <span className="soft number">{words.applications.logsLines(shown.length, lines.length)}</span>
          <TextInput
            type="search"
            aria-label={words.applications.logsSearch}
            placeholder={words.applications.logsSearch}
            leftSection={<Icon name="search" size={14} />}
            value={search}
            maxLength={200}
            onChange={(event) => setSearch(event.currentTarget.value)}
          />
          <Checkbox
            label={words.applications.logsFollow}
            checked={follow}
            onChange={(event) => setFollow(event.currentTarget.checked)}
          />
        </>
      }
    >
      {query.isPending && <Skeleton lines={5} />}
      {query.isError && <ProblemView problem={query.error} retry={() => void query.refetch()} />}
      {query.data && lines.length === 0 && <p className="soft">{words.applications.logsEmpty}</p>}
      {shown.length > 0 && <Lines lines={shown} follow={follow} />}
    </Section>
  );
}

const DRAWN_MAX = 1_000;

function Lines({ lines, follow }: { lines: Line[]; follow: boolean }) {
  const end = useRef<HTMLDivElement>(null);
  const last = lines[lines.length - 1];
  useEffect(() => {
    if (follow && end.current) end.current.scrollTop = end.current.scrollHeight;
  }, [follow, last]);
  const now = new Date();
  return (
    // Long logs scroll, so they have to be reachable by keys.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div ref={end} className={css.lines} tabIndex={0} role="log" aria-label={words.applications.logs}>
      {lines.slice(-DRAWN_MAX).map((line, index) => (
        <div key={`${line.host}-${line.time}-${index}`} className={css.line}>
          {line.gap && <div className={css.gap}>{words.applications.logsGap}</div>}
          <time className={css.time} dateTime={line.time} title={line.time}>
            {clock(new Date(line.time), now)}
          </time>{' '}
          <span className={css.text}>{line.text}</span>
        </div>
      ))}
    </div>
  );
}
