import { Button, Modal, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState, type SubmitEvent, type ReactNode } from 'react';

import { words } from '../../words/en';
import { ProblemView } from '../ProblemView';
import { tellCommand } from './told';
import { give, type Target, type Verb } from './commands';
import css from './Command.module.css';

export interface CommandAsk {
  verb: Verb;
  target: Target;
  /** What it is called, for people. */
  name: string;
  /** What will happen, in plain words. */
  text: ReactNode;
  /** It is in use: who ends it has to type its name. */
  typed?: boolean;
}

/** Says what a command will do, and gives it. */
export function CommandDialog({ asked, onClose }: { asked: CommandAsk | undefined; onClose: () => void }) {
  return (
    <Modal
      opened={asked !== undefined}
      onClose={onClose}
      closeButtonProps={{ 'aria-label': words.common.close }}
      title={
        asked && <span className="name">{words.command.title(words.command[asked.verb], asked.name)}</span>
      }
    >
      {asked && <CommandForm asked={asked} onClose={onClose} />}
    </Modal>
  );
}

function CommandForm({ asked, onClose }: { asked: CommandAsk; onClose: () => void }) {
  const [typed, setTyped] = useState('');
  const client = useQueryClient();
  const send = useMutation({
    mutationFn: () => give(asked.target, asked.verb),
    onSuccess: (told) => {
      tellCommand(asked, told, client);
      void client.invalidateQueries();
      onClose();
    },
  });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    send.mutate();
  };
  return (
    <form className={css.form} onSubmit={submit}>
      <div className={css.text}>{asked.text}</div>
      {asked.typed === true && (
        <TextInput
          label={words.command.typeName(asked.name)}
          value={typed}
          autoComplete="off"
          data-autofocus
          onChange={(event) => setTyped(event.currentTarget.value)}
        />
      )}
      {send.isError && <ProblemView problem={send.error} />}
      <div className={css.buttons}>
        <Button variant="default" onClick={onClose}>
          {words.common.cancel}
        </Button>
        <Button
          type="submit"
          color={asked.verb === 'kill' ? 'red.8' : undefined}
          loading={send.isPending}
          disabled={asked.typed === true && typed !== asked.name}
        >
          {words.command[asked.verb]}
        </Button>
      </div>
    </form>
  );
}
