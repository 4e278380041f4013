import type { ApplicationView } from '../../api/types';
import { Section } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { SimpleTable } from '../../parts/SimpleTable';
import { StateBadge } from '../../parts/StateBadge';
import { deploymentState } from '../../parts/state';
import { words } from '../../words/en';

/** Which Elements and Hosts hold a version. */
export function Deployments({ version }: { version: ApplicationView }) {
  return (
    <Section flush={version.deployments.length > 0} title={words.applications.deployments}>
      {version.deployments.length === 0 ? (
        <p className="soft">{words.applications.nowhere}</p>
      ) : (
        <SimpleTable
          label={words.applications.deployments}
          titles={[words.common.name, words.common.state, words.audit.detail]}
          rows={version.deployments.map(({ node, name, state, reason }) => ({
            key: node,
            cells: [
              <ResourceName id={node} name={name} />,
              <StateBadge state={deploymentState(state)} />,
              <span className="name">{reason ?? ''}</span>,
            ],
          }))}
        />
      )}
    </Section>
  );
}
