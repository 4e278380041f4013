import { ActionIcon, Menu, useMantineColorScheme, type MantineColorScheme } from '@mantine/core';

import { Icon, type IconName } from '../parts/Icon';
import { words } from '../words/en';

const SIGNS: Record<MantineColorScheme, IconName> = { light: 'light', dark: 'dark', auto: 'system' };

export function ThemeMenu() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="default" size="md" aria-label={words.shell.theme} title={words.shell.theme}>
          <Icon name={SIGNS[colorScheme]} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {(['light', 'dark', 'auto'] as const).map((scheme) => (
          <Menu.Item
            key={scheme}
            leftSection={<Icon name={SIGNS[scheme]} size={14} />}
            aria-current={scheme === colorScheme}
            onClick={() => setColorScheme(scheme)}
          >
            {words.shell.themes[scheme]}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
