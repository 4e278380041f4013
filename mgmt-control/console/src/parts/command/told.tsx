import { Button } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import type { QueryClient } from '@tanstack/react-query';

import { asProblem } from '../../api/problem';
import type { CommandView } from '../../api/types';
import { words } from '../../words/en';
import { listed } from '../../words/format';
import type { CommandAsk } from './CommandDialog';
import { give, undoOf } from './commands';
import css from './Command.module.css';

const SHOWN_MS = 12_000;

/** What became of a command, in words. */
export function outcome(told: CommandView): string {
  const said: string[] = [];
  if (told.wish) said.push(words.command.recorded(told.wish.generation));
  if (typeof told.ended === 'number') said.push(words.command.ended(told.ended));
  else if (told.status === 'applied') said.push(words.command.applied);
  else
    said.push(
      told.waiting_for.length > 0
        ? words.command.pending(listed(told.waiting_for))
        : words.command.pendingOnly,
    );
  return said.join(' ');
}

/** Tells what became of a command, with the way back where there is one. */
export function tellCommand(asked: CommandAsk, told: CommandView, client: QueryClient): void {
  const back = undoOf(asked.verb);
  const undo = () => {
    notifications.hide(id);
    if (back === undefined) return;
    const reversed: CommandAsk = { ...asked, verb: back };
    give(asked.target, back)
      .then((answer) => tellCommand(reversed, answer, client))
      .catch((thrown: unknown) => notifications.show({ color: 'red', message: asProblem(thrown).message }))
      .finally(() => void client.invalidateQueries());
  };
  const id = notifications.show({
    color: told.status === 'applied' || typeof told.ended === 'number' ? 'green' : 'yellow',
    autoClose: SHOWN_MS,
    title: <span className="name">{words.command.title(words.command[asked.verb], asked.name)}</span>,
    message: (
      <span className={css.told}>
        {outcome(told)}
        {back !== undefined && told.wish && (
          <Button size="compact-xs" variant="default" onClick={undo}>
            {words.common.undo}
          </Button>
        )}
      </span>
    ),
    closeButtonProps: { 'aria-label': words.common.close },
  });
}
