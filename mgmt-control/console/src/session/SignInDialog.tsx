import { Modal } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';

import { words } from '../words/en';
import { SignInForm } from './SignInForm';
import { useSessionState } from './useSession';

/** Over the page, when a session ends in the middle of work: the page below stays as it is. */
export function SignInDialog() {
  const { view, lost } = useSessionState();
  const client = useQueryClient();
  if (!view) return null;
  return (
    <Modal
      opened={lost}
      onClose={() => undefined}
      // Over whatever dialog is open.
      zIndex={500}
      withCloseButton={false}
      closeOnEscape={false}
      closeOnClickOutside={false}
      title={words.signIn.again}
    >
      <p className="soft">{words.signIn.lost}</p>
      <SignInForm person={view.person} onDone={() => void client.invalidateQueries()} />
    </Modal>
  );
}
