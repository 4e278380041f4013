import { Button, Modal } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import type { SubmitEvent, ReactNode } from 'react';

import { words } from '../words/en';
import { ProblemView } from './ProblemView';
import css from './command/Command.module.css';

interface Props<Result> {
  opened: boolean;
  title: string;
  submit: string;
  act: () => Promise<Result>;
  onDone: (result: Result) => void;
  onClose: () => void;
  children: ReactNode;
}

/** A few fields in a dialog; what was typed stays when the server refuses it. */
export function FormDialog<Result>({ opened, title, submit, act, onDone, onClose, children }: Props<Result>) {
  const client = useQueryClient();
  const send = useMutation({
    mutationFn: act,
    onSuccess: (result) => {
      void client.invalidateQueries();
      onDone(result);
    },
  });
  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    send.mutate();
  };
  return (
    <Modal
      opened={opened}
      onClose={() => {
        send.reset();
        onClose();
      }}
      title={<span className="name">{title}</span>}
      closeButtonProps={{ 'aria-label': words.common.close }}
    >
      <form className={css.form} onSubmit={onSubmit}>
        {children}
        {send.isError && <ProblemView problem={send.error} />}
        <div className={css.buttons}>
          <Button variant="default" onClick={onClose}>
            {words.common.cancel}
          </Button>
          <Button type="submit" loading={send.isPending}>
            {submit}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
