import type { AccessRule } from '../api/types';
import { words } from '../words/en';
import { SimpleTable } from './SimpleTable';

/** Who may use a thing. */
export function RuleTable({ rules, none }: { rules: AccessRule[]; none: string }) {
  if (rules.length === 0) return <p className="soft">{none}</p>;
  return (
    <SimpleTable
      label={words.resources.tabs.rules}
      titles={[words.resources.who, words.resources.operations, words.resources.part]}
      rows={rules.map((rule, index) => ({
        key: String(index),
        cells: [
          <span className="name">{rule.who}</span>,
          rule.operations?.join(', ') ?? words.resources.everything,
          <span className="name">{rule.part ?? words.resources.whole}</span>,
        ],
      }))}
    />
  );
}
