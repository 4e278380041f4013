import type { ErrorComponentProps } from '@tanstack/react-router';

import { Page } from '../parts/Page';
import { ProblemView } from '../parts/ProblemView';
import { words } from '../words/en';

export function Crashed({ error, reset }: ErrorComponentProps) {
  return (
    <Page title={words.problem.crashed}>
      <ProblemView problem={error} retry={reset} />
    </Page>
  );
}
