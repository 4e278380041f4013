import { Button, Modal } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';

import { words } from '../words/en';
import { ProblemView } from './ProblemView';
import css from './command/Command.module.css';

interface Props {
  label: string;
  /** What it is done to, for the head of the question and for screen readers. */
  name: string;
  text: ReactNode;
  /** What is said when it is done. */
  done?: string;
  dangerous?: boolean;
  compact?: boolean;
  act: () => Promise<unknown>;
}

/** A button that asks first, in plain words. */
export function ConfirmButton({ label, name, text, done, dangerous = false, compact = false, act }: Props) {
  const [asking, setAsking] = useState(false);
  const client = useQueryClient();
  const send = useMutation({
    mutationFn: act,
    onSuccess: () => {
      setAsking(false);
      if (done !== undefined) notifications.show({ color: 'green', message: done });
      void client.invalidateQueries();
    },
  });
  return (
    <>
      <Button
        variant="default"
        size={compact ? 'compact-xs' : 'xs'}
        aria-label={`${label}: ${name}`}
        onClick={() => {
          send.reset();
          setAsking(true);
        }}
      >
        {label}
      </Button>
      <Modal
        opened={asking}
        onClose={() => setAsking(false)}
        title={<span className="name">{`${label}: ${name}`}</span>}
        closeButtonProps={{ 'aria-label': words.common.close }}
      >
        <div className={css.form}>
          <div className={css.text}>{text}</div>
          {send.isError && <ProblemView problem={send.error} />}
          <div className={css.buttons}>
            <Button variant="default" onClick={() => setAsking(false)}>
              {words.common.cancel}
            </Button>
            <Button
              color={dangerous ? 'red.8' : undefined}
              loading={send.isPending}
              onClick={() => send.mutate()}
            >
              {label}
            </Button>
          </div>
        </div>
      </Modal>
    </>
  );
}
