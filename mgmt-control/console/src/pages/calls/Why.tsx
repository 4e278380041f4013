import { useQuery } from '@tanstack/react-query';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { asProblem } from '../../api/problem';
import type { Explanation } from '../../api/types';
import { Section } from '../../parts/Page';
import { ProblemView } from '../../parts/ProblemView';
import { SimpleTable } from '../../parts/SimpleTable';
import { Skeleton } from '../../parts/Skeleton';
import { StateBadge } from '../../parts/StateBadge';
import type { Tone } from '../../parts/state';
import { words } from '../../words/en';

const TONES: Record<string, Tone> = { chosen: 'ok', eligible: 'unknown', unfit: 'warning' };

/** Why it ran where it did: each candidate, with what it met and what it failed. */
export function Why({ id }: { id: string }) {
  const query = useQuery({
    queryKey: keys.explanation(id),
    queryFn: ({ signal }) => ask(api.GET('/api/v1/explanations/{id}', { params: { path: { id } }, signal })),
    retry: false,
  });
  return (
    <Section title={words.calls.why} flush={query.data !== undefined}>
      {query.isPending && <Skeleton lines={3} />}
      {query.isError &&
        (asProblem(query.error).status === 404 ? (
          <p className="soft">{words.calls.whyNone}</p>
        ) : (
          <ProblemView problem={query.error} retry={() => void query.refetch()} />
        ))}
      {query.data && <Candidates explanation={query.data} />}
    </Section>
  );
}

export function Candidates({ explanation: { question, outcome, candidates } }: { explanation: Explanation }) {
  return (
    <>
      <div className="name" style={{ padding: '12px 16px' }}>
        <p className="soft">{question}</p>
        <p>{outcome}</p>
      </div>
      <SimpleTable
        label={words.calls.why}
        titles={[words.common.name, words.calls.verdict, words.calls.checks]}
        rows={candidates.map(({ id, name, verdict, checks }) => ({
          key: id,
          cells: [
            <span className="name">{name}</span>,
            <StateBadge
              state={{ tone: TONES[verdict] ?? 'unknown', word: words.calls.verdicts[verdict] ?? verdict }}
            />,
            <ul>
              {checks.map((check, index) => (
                <li key={`${check.name}-${index}`}>
                  {check.met ? '✓' : '✗'} {words.calls.check(check.name, check.needed, check.found)}
                </li>
              ))}
            </ul>,
          ],
        }))}
      />
    </>
  );
}
