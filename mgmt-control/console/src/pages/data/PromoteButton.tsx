import { Button, Checkbox } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useState } from 'react';

import { api, ask } from '../../api/client';
import type { DatabaseView } from '../../api/types';
import { FormDialog } from '../../parts/FormDialog';
import { words } from '../../words/en';
import type { Copy } from './copies';

/** Moves the core to a shadow. */
export function PromoteButton({ view, copy }: { view: DatabaseView; copy: Copy }) {
  const [asking, setAsking] = useState(false);
  const [allowLoss, setAllowLoss] = useState(false);
  const { name } = view.database;
  return (
    <>
      <Button
        size="compact-xs"
        variant="default"
        onClick={() => setAsking(true)}
        aria-label={`${words.data.promote}: ${copy.name}`}
      >
        {words.data.promote}
      </Button>
      {asking && (
        <FormDialog
          opened
          title={`${words.data.promote}: ${copy.name}`}
          submit={words.data.promote}
          act={() =>
            ask(
              api.POST('/api/v1/databases/{name}/shadows/promote', {
                params: { path: { name }, query: { element: view.element } },
                body: { host: copy.host, allow_loss: allowLoss },
              }),
            )
          }
          onDone={() => {
            notifications.show({ color: 'green', message: words.data.promoted(copy.name) });
            setAsking(false);
          }}
          onClose={() => setAsking(false)}
        >
          <p>{words.data.promoteText(copy.name)}</p>
          <Checkbox
            label={words.data.allowLoss}
            checked={allowLoss}
            onChange={(event) => setAllowLoss(event.currentTarget.checked)}
          />
        </FormDialog>
      )}
    </>
  );
}
