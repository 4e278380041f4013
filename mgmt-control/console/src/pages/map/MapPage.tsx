import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { Condition, TopologyView } from '../../api/types';
import { Empty } from '../../parts/Empty';
import { Loaded } from '../../parts/ListState';
import { Page, Section } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { SimpleTable } from '../../parts/SimpleTable';
import { StateBadge } from '../../parts/StateBadge';
import { conditionTone } from '../../parts/state';
import { words } from '../../words/en';
import { plural } from '../../words/format';
import { Picture } from './Picture';
import css from './Map.module.css';

export function MapPage() {
  const query = useQuery({
    queryKey: keys.topology(),
    queryFn: ({ signal }) => ask(api.GET('/api/v1/topology', { signal })),
  });
  return (
    <Page title={words.pages.map} fill>
      <Loaded query={query} lines={12}>
        {(topology) =>
          topology.elements.length === 0 ? (
            <Empty
              title={words.resources.empty}
              text={words.resources.emptyText}
              command="gridmart token create --kind ce --domain DOMAIN"
            />
          ) : (
            <>
              <p className="soft">{words.map.hint}</p>
              <div className={css.map}>
                <Picture topology={topology} />
                <Beside topology={topology} />
              </div>
            </>
          )
        }
      </Loaded>
    </Page>
  );
}

/** The picture in words: each Element, and how its Hosts are. */
function Beside({ topology: { elements, hosts } }: { topology: TopologyView }) {
  return (
    <div className={css.beside}>
      <Section flush title={words.map.table} beside={<Link to="/resources">{words.map.list}</Link>}>
        <SimpleTable
          label={words.map.table}
          titles={[words.resources.element, words.common.state, words.resources.tabs.hosts]}
          rows={elements.map(({ id, name, condition, first_host, hosts: count }) => ({
            key: id,
            cells: [
              <ResourceName id={id} name={name} />,
              <StateBadge state={{ tone: conditionTone(condition), word: words.state[condition] }} />,
              <HostCounts conditions={hosts.conditions.slice(first_host, first_host + count)} element={id} />,
            ],
          }))}
        />
      </Section>
    </div>
  );
}

function HostCounts({ conditions, element }: { conditions: Condition[]; element: string }) {
  const counts = new Map<Condition, number>();
  for (const condition of conditions) counts.set(condition, (counts.get(condition) ?? 0) + 1);
  if (counts.size === 0) return <span className="soft">{words.common.none}</span>;
  return (
    <ul className={css.counts}>
      {[...counts].map(([condition, count]) => (
        <li key={condition}>
          <Link to="/resources" search={{ element, condition }}>
            <StateBadge
              plain
              state={{
                tone: conditionTone(condition),
                word: words.map.hosts(plural(count, 'Host'), words.state[condition]),
              }}
            />
          </Link>
        </li>
      ))}
    </ul>
  );
}
