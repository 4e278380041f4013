import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { readApplications } from '../../api/applications';
import { keys } from '../../api/keys';
import type { Resource } from '../../api/resources';
import { Section } from '../../parts/Page';
import { SimpleTable } from '../../parts/SimpleTable';
import { StateBadge } from '../../parts/StateBadge';
import { deploymentState } from '../../parts/state';
import { words } from '../../words/en';

/** Which applications are on a machine, and how they are there. */
export function ApplicationsTab({ view }: { view: Resource }) {
  const shelf = useQuery({
    queryKey: keys.applications(),
    queryFn: ({ signal }) => readApplications(signal),
  });
  if (view.deployments.length === 0) {
    return (
      <Section>
        <p className="soft">{words.resources.noApplications}</p>
      </Section>
    );
  }
  const rows = view.deployments.map(({ digest, state, reason, serving }) => {
    const known = shelf.data?.find((one) => one.digest === digest);
    return {
      key: digest,
      cells: [
        known ? (
          <Link
            to="/applications/$name"
            params={{ name: known.name }}
            search={{ version: known.version }}
            className="name"
          >
            {known.name} {known.version}
          </Link>
        ) : (
          <code>{digest.slice(0, 19)}…</code>
        ),
        <StateBadge state={deploymentState(state)} />,
        words.command.wanted[serving],
        <span className="name">{reason ?? ''}</span>,
      ],
    };
  });
  return (
    <Section flush>
      <SimpleTable
        label={words.resources.tabs.applications}
        titles={[words.pages.applications, words.common.state, words.command.life, words.audit.detail]}
        rows={rows}
      />
    </Section>
  );
}
