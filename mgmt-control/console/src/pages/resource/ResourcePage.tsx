import { Tabs } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Navigate, useNavigate, useParams } from '@tanstack/react-router';

import { keys } from '../../api/keys';
import { readResource } from '../../api/resources';
import type { Resource } from '../../api/resources';
import { CommandButtons } from '../../parts/command/CommandButtons';
import type { Verb } from '../../parts/command/commands';
import { Loaded } from '../../parts/ListState';
import { Page } from '../../parts/Page';
import { StateBadge } from '../../parts/StateBadge';
import { Ago } from '../../parts/Time';
import { resourceState } from '../../parts/state';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { groupsOf } from './groups';
import { TabContent } from './TabContent';
import { tabsOf, type TabName } from './tabs';
import css from './Resource.module.css';

const ACTIONS: Record<Verb, string> = { start: 'ResourceStart', stop: 'ResourceStop', kill: 'ResourceKill' };

export function ResourcePage() {
  const { id, tab } = useParams({ strict: false });
  const query = useQuery({
    queryKey: keys.resource(id ?? ''),
    queryFn: ({ signal }) => readResource(id ?? '', signal),
  });
  if (!query.data) {
    return (
      <Page title={words.pages.resources}>
        <Loaded query={query} lines={10}>
          {() => null}
        </Loaded>
      </Page>
    );
  }
  // Names lead here too; what the stream tells goes by ids.
  const own = query.data.row.id;
  if (own !== id) return <Navigate to="/resources/$id" params={{ id: own }} replace />;
  return <ResourceShown view={query.data} tab={tab} />;
}

function ResourceShown({ view, tab }: { view: Resource; tab: string | undefined }) {
  const may = useMay();
  const navigate = useNavigate();
  const { row } = view;
  const tabs = tabsOf(view);
  const shown = tabs.find((one) => one === tab) ?? 'state';
  const verbs = (['start', 'stop', 'kill'] as const)
    .filter((verb) => may(ACTIONS[verb]))
    .filter((verb) => verb === 'kill' || (verb === 'start') === (row.desired === 'closed'));
  const reason = groupsOf(view).state?.health_state_info;
  return (
    <Page
      title={row.name}
      beside={
        <>
          <StateBadge state={resourceState(row)} />
          {!row.connected && row.heard_at !== undefined && (
            <span className="soft">
              {words.resources.heard} <Ago time={row.heard_at} />
            </span>
          )}
          <span className="soft">
            {words.kind[row.kind]} · <span className="name">{row.domain}</span>
          </span>
        </>
      }
      actions={
        verbs.length > 0 && (
          <CommandButtons
            target={{ kind: 'resource', id: row.id }}
            name={row.name}
            verbs={verbs}
            running={runningOn(view)}
            note={row.connected ? undefined : words.command.away}
          />
        )
      }
    >
      {reason !== undefined && <p className={css.reason}>{reason}</p>}
      <Tabs
        value={shown}
        keepMounted={false}
        onChange={(next) =>
          void navigate({
            to: '/resources/$id/$tab',
            params: { id: row.id, tab: next ?? 'state' },
            replace: true,
          })
        }
      >
        <Tabs.List className={css.tabs}>
          {tabs.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {words.resources.tabs[one]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {tabs.map((one: TabName) => (
          <Tabs.Panel key={one} value={one} className={css.panel}>
            <TabContent tab={one} view={view} />
          </Tabs.Panel>
        ))}
      </Tabs>
    </Page>
  );
}

/** Calls that run on it, if that is known; what keeps data or objects runs none. */
function runningOn({ row }: Resource): number | undefined {
  if (!row.connected) return undefined;
  return row.running_jobs ?? undefined;
}
