import { Button } from '@mantine/core';

import { asProblem } from '../api/problem';
import { words } from '../words/en';
import { Icon } from './Icon';
import css from './Notice.module.css';

/** What failed, on what, what to do next; and the way to try again. */
export function ProblemView({ problem, retry }: { problem: unknown; retry?: () => void }) {
  const { message, hint, code, requestId } = asProblem(problem);
  return (
    <div className={css.notice} role="alert" data-tone="critical">
      <span className={css.sign}>
        <Icon name="critical" size={20} />
      </span>
      <div className={css.text}>
        <p className={css.title}>{message}</p>
        {hint !== '' && <p>{hint}</p>}
        <p className={css.small}>
          {code}
          {requestId !== undefined && ` · ${words.problem.request(requestId)}`}
        </p>
        {retry && (
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<Icon name="retry" size={14} />}
            onClick={retry}
          >
            {words.common.retry}
          </Button>
        )}
      </div>
    </div>
  );
}
