import { Tabs } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';

import { Page } from '../../parts/Page';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { JoinTab } from './JoinTab';
import { NodesTab } from './NodesTab';
import { PersonsTab } from './PersonsTab';
import { TokensTab } from './TokensTab';
import css from '../resource/Resource.module.css';

const TABS = [
  { name: 'people', word: words.people.people, needs: 'PersonList', Content: PersonsTab },
  { name: 'tokens', word: words.people.tokens, needs: 'ApiTokenList', Content: TokensTab },
  { name: 'join', word: words.people.join, needs: 'JoinTokenCreate', Content: JoinTab },
  { name: 'nodes', word: words.people.nodes, needs: 'NodeList', Content: NodesTab },
];

export function PeoplePage() {
  const { tab } = useSearch({ from: '/shell/people' });
  const navigate = useNavigate();
  const may = useMay();
  const tabs = TABS.filter(({ needs }) => may(needs));
  const shown = tabs.find(({ name }) => name === tab) ?? tabs[0];
  if (!shown) return null;
  return (
    <Page title={words.pages.people}>
      <Tabs
        value={shown.name}
        keepMounted={false}
        onChange={(next) =>
          void navigate({ to: '/people', search: { tab: next ?? undefined }, replace: true })
        }
      >
        <Tabs.List className={css.tabs}>
          {tabs.map(({ name, word }) => (
            <Tabs.Tab key={name} value={name}>
              {word}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {tabs.map(({ name, Content }) => (
          <Tabs.Panel key={name} value={name} className={css.panel}>
            <Content />
          </Tabs.Panel>
        ))}
      </Tabs>
    </Page>
  );
}
