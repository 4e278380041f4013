import { Button, Menu } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQueryClient } from '@tanstack/react-query';

import { asProblem } from '../api/problem';
import { Icon } from '../parts/Icon';
import { signOut } from '../session/actions';
import { useSession } from '../session/useSession';
import { words } from '../words/en';
import css from './Shell.module.css';

export function PersonMenu() {
  const session = useSession();
  const client = useQueryClient();
  const leave = useMutation({
    mutationFn: signOut,
    onSuccess: () => client.clear(),
    onError: (thrown) => notifications.show({ color: 'red', message: asProblem(thrown).message }),
  });
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button
          variant="default"
          size="xs"
          className={css.person}
          leftSection={<Icon name="person" size={14} />}
          aria-label={`${words.shell.account}: ${session.person}`}
        >
          <span className={css.personName}>{session.person}</span>
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {session.person} · {words.shell.role(session.role)}
        </Menu.Label>
        <Menu.Item onClick={() => leave.mutate()}>{words.signIn.signOut}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
