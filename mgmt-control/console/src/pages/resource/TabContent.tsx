import type { Resource } from '../../api/resources';
import { Section } from '../../parts/Page';
import { RuleTable } from '../../parts/RuleTable';
import { Ago } from '../../parts/Time';
import { words } from '../../words/en';
import { ApplicationsTab } from './ApplicationsTab';
import { DescribedGroup } from './Described';
import { DocumentTab } from './DocumentTab';
import { groupsOf } from './groups';
import { HealsTab } from './HealsTab';
import { HistoryTab } from './HistoryTab';
import { HostsTab } from './HostsTab';
import { LayoutTab } from './LayoutTab';
import { WishFacts } from './WishFacts';
import type { TabName } from './tabs';

export function TabContent({ tab, view }: { tab: TabName; view: Resource }) {
  const { info, state, policy, access } = groupsOf(view);
  switch (tab) {
    case 'info':
      return (
        <Section>
          <DescribedGroup group={info} />
        </Section>
      );
    case 'state':
      return (
        <>
          <Section title={words.command.life}>
            <WishFacts view={view} />
          </Section>
          <Section
            title={words.resources.tabs.state}
            beside={
              state?.creation_time !== undefined && (
                <span className="soft">
                  <Observed time={state.creation_time} />
                </span>
              )
            }
          >
            {state ? (
              <DescribedGroup group={{ ...state, creation_time: null }} />
            ) : (
              <p className="soft">{words.resources.noState}</p>
            )}
          </Section>
        </>
      );
    case 'policy':
      return (
        <Section>
          {Object.keys(policy).length === 0 ? (
            <p className="soft">{words.resources.noPolicy}</p>
          ) : (
            <DescribedGroup group={policy} />
          )}
        </Section>
      );
    case 'rules':
      return (
        <Section>
          <RuleTable rules={access.rules ?? []} none={words.resources.noRules} />
        </Section>
      );
    case 'hosts':
      return <HostsTab view={view} />;
    case 'applications':
      return <ApplicationsTab view={view} />;
    case 'layout':
      return <LayoutTab id={view.row.id} />;
    case 'heals':
      return <HealsTab id={view.row.id} />;
    case 'history':
      return <HistoryTab id={view.row.id} />;
    case 'document':
      return <DocumentTab view={view} />;
    default:
      return null;
  }
}

function Observed({ time }: { time: string }) {
  return (
    <>
      {words.common.observedAt} <Ago time={time} />
    </>
  );
}
