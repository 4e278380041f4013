import { Button } from '@mantine/core';
import { useState } from 'react';

import { words } from '../../words/en';
import { Icon } from '../Icon';
import { CommandDialog, type CommandAsk } from './CommandDialog';
import type { Target, Verb } from './commands';
import css from './Command.module.css';

interface Props {
  target: Target;
  name: string;
  verbs: Verb[];
  /** How many calls run on it; nothing if that is not known. */
  running?: number | undefined;
  /** More to say, such as that it is away. */
  note?: string | undefined;
}

function textOf(verb: Verb, name: string): string {
  if (verb === 'start') return words.command.startText(name);
  return verb === 'stop' ? words.command.stopText(name) : words.command.killText(name);
}

/** Start, stop and kill, each with what it will do. */
export function CommandButtons({ target, name, verbs, running, note }: Props) {
  const [asked, setAsked] = useState<CommandAsk>();
  const open = (verb: Verb) =>
    setAsked({
      verb,
      target,
      name,
      typed: verb === 'kill' && running !== 0,
      text: (
        <>
          <p>{textOf(verb, name)}</p>
          {verb !== 'start' && (
            <p>{running === undefined ? words.command.runningUnknown : words.command.running(running)}</p>
          )}
          {note !== undefined && <p>{note}</p>}
        </>
      ),
    });
  return (
    <div className={css.row}>
      {verbs.map((verb) => (
        <Button
          key={verb}
          variant="default"
          className={verb === 'kill' ? css.danger : undefined}
          leftSection={<Icon name={verb} size={14} />}
          onClick={() => open(verb)}
        >
          {words.command[verb]}
        </Button>
      ))}
      <CommandDialog asked={asked} onClose={() => setAsked(undefined)} />
    </div>
  );
}
