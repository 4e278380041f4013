import { Button, NativeSelect } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { lazy, Suspense, useState } from 'react';

import type { StatementRead, StatementResult } from '../../../api/types';
import { Icon } from '../../../parts/Icon';
import { Section } from '../../../parts/Page';
import { ProblemView } from '../../../parts/ProblemView';
import { save } from '../../../parts/save';
import { Skeleton } from '../../../parts/Skeleton';
import { words } from '../../../words/en';
import { canSave, csvOf } from './csv';
import { Result } from './Result';
import { runForCsv, runStatement } from './run';
import { learn, type Tables } from './tables';
import css from './Sql.module.css';

// The editor is larger than the page around it.
const SqlEditor = lazy(() => import('./SqlEditor'));

const ROWS_MAX = 1_000;
const READS: StatementRead[] = ['fresh', 'core', 'shadow'];

/** Statements, as the person who is signed in: rules show what they show everywhere. */
export function Sql({ database }: { database: string }) {
  const [text, setText] = useState('');
  const [read, setRead] = useState<StatementRead>('fresh');
  const [tables, setTables] = useState<Tables>({});
  const run = useMutation({
    mutationFn: (statement: string) => runStatement(database, statement, read, ROWS_MAX),
    onSuccess: (told, statement) => setTables((known) => learn(known, statement, told)),
  });
  const csv = useMutation({
    // What is shown is all, or a question that is asked again: no change is made twice.
    mutationFn: async ({ statement, shown }: { statement: string; shown: StatementResult }) =>
      save(
        `${database}.csv`,
        'text/csv',
        shown.is_cut ? await runForCsv(database, statement, read) : csvOf(shown),
      ),
  });
  /** Somebody wanted another statement while one ran: it is not run behind their back later. */
  const [refused, setRefused] = useState(false);
  const start = () => {
    if (text.trim() === '') return;
    setRefused(run.isPending);
    if (!run.isPending) run.mutate(text);
  };
  return (
    <Section title={words.sql.title}>
      <div className={css.work}>
        <Suspense fallback={<Skeleton lines={5} />}>
          <SqlEditor text={text} tables={tables} onChange={setText} onRun={start} />
        </Suspense>
        <div className={css.buttons}>
          <Button
            loading={run.isPending}
            disabled={text.trim() === ''}
            leftSection={<Icon name="start" size={14} />}
            onClick={start}
          >
            {words.sql.run}
          </Button>
          <NativeSelect
            aria-label={words.sql.read}
            value={read}
            onChange={(event) => setRead(event.currentTarget.value as StatementRead)}
            data={READS.map((value) => ({ value, label: words.sql.reads[value] }))}
          />
          {run.data && canSave(run.data) && (
            <Button
              variant="default"
              loading={csv.isPending}
              onClick={() => csv.mutate({ statement: run.variables, shown: run.data })}
            >
              {words.sql.csv}
            </Button>
          )}
          <span className="soft">{words.sql.keys}</span>
        </div>
        {refused && run.isPending && <p role="status">{words.sql.busy}</p>}
        {run.isError && <ProblemView problem={run.error} />}
        {csv.isError && <ProblemView problem={csv.error} />}
        {run.data && <Result result={run.data} />}
      </div>
    </Section>
  );
}
