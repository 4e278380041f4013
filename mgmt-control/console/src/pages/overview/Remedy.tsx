import { Button } from '@mantine/core';
import { Link } from '@tanstack/react-router';

import { api, ask } from '../../api/client';
import type { NeedView } from '../../api/types';
import { CommandButtons } from '../../parts/command/CommandButtons';
import { ConfirmButton } from '../../parts/ConfirmButton';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';

/** The button that helps, where there is one and the role may press it. */
export function Remedy({ need: { remedy, subject } }: { need: NeedView }) {
  const may = useMay();
  if (!remedy || !may(remedy)) return null;
  const { id, name } = subject;
  switch (remedy) {
    case 'ResourceStart':
      return <CommandButtons target={{ kind: 'resource', id }} name={name} verbs={['start']} />;
    case 'NodeRevoke':
      return (
        <ConfirmButton
          dangerous
          label={words.people.revoke}
          name={name}
          text={words.people.revokeText(name)}
          act={() => ask(api.POST('/api/v1/nodes/{id}/revoke', { params: { path: { id } } }))}
        />
      );
    case 'JoinTokenCreate':
      return (
        <Button
          variant="default"
          renderRoot={(props) => <Link to="/people" search={{ tab: 'join' }} {...props} />}
        >
          {words.people.join}
        </Button>
      );
    case 'ApplicationUpload':
      return (
        <Button
          variant="default"
          renderRoot={(props) => <Link to="/applications/$name" params={{ name: id }} {...props} />}
        >
          {words.applications.show}
        </Button>
      );
    default:
      return null;
  }
}
