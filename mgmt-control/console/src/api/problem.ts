import { words } from '../words/en';
import type { Problem } from './types';

/** What went wrong, as the server says it, or that nothing answered. */
export class ApiProblem extends Error {
  readonly code: string;
  readonly status: number;
  readonly hint: string;
  readonly retryable: boolean;
  readonly requestId: string | undefined;

  constructor(
    problem: Pick<Problem, 'code' | 'status' | 'detail' | 'hint' | 'retryable'> & {
      request_id?: string | null;
    },
  ) {
    super(problem.detail);
    this.name = 'ApiProblem';
    this.code = problem.code;
    this.status = problem.status;
    this.hint = problem.hint;
    this.retryable = problem.retryable;
    this.requestId = problem.request_id ?? undefined;
  }
}

/** Nothing answered: the controller is away, or the way to it is. */
export function unreachable(): ApiProblem {
  return new ApiProblem({
    code: 'unreachable',
    status: 0,
    detail: words.problem.unreachable,
    hint: words.problem.unreachableHint,
    retryable: true,
  });
}

function isProblem(value: unknown): value is Problem {
  return typeof value === 'object' && value !== null && 'code' in value && 'detail' in value;
}

/** Reads the body of an answer that is no success; a proxy's page is no problem document. */
export function problemOf(status: number, body: unknown): ApiProblem {
  if (isProblem(body)) return new ApiProblem(body);
  return new ApiProblem({
    code: 'unknown',
    status,
    detail: words.problem.foreign(status),
    hint: words.problem.foreignHint,
    retryable: status >= 500,
  });
}

/** Whatever was thrown, as a problem that can be shown. */
export function asProblem(thrown: unknown): ApiProblem {
  if (thrown instanceof ApiProblem) return thrown;
  if (thrown instanceof TypeError) return unreachable();
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  return new ApiProblem({ code: 'page', status: 0, detail, hint: words.problem.pageHint, retryable: false });
}
