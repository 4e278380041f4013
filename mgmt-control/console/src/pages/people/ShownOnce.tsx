import { Button, Modal } from '@mantine/core';

import { Copyable } from '../../parts/Copyable';
import { words } from '../../words/en';
import css from '../../parts/command/Command.module.css';

/** A secret that is told this once. */
export function ShownOnce({
  secret,
  title,
  onClose,
}: {
  secret: string | undefined;
  title: string;
  onClose: () => void;
}) {
  return (
    <Modal
      opened={secret !== undefined}
      onClose={onClose}
      title={title}
      closeOnClickOutside={false}
      closeButtonProps={{ 'aria-label': words.common.close }}
    >
      <div className={css.form}>
        <p>{words.people.once}</p>
        <Copyable text={secret ?? ''} />
        <div className={css.buttons}>
          <Button onClick={onClose}>{words.common.done}</Button>
        </div>
      </div>
    </Modal>
  );
}
