import { NativeSelect } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';

import { readApplications } from '../../api/applications';
import { keys } from '../../api/keys';
import { Filters, Page } from '../../parts/Page';
import { words } from '../../words/en';
import { EndedCalls } from './EndedCalls';
import { RunningCalls } from './RunningCalls';

export function CallsPage() {
  const { application } = useSearch({ from: '/shell/calls' });
  const navigate = useNavigate();
  const shelf = useQuery({
    queryKey: keys.applications(),
    queryFn: ({ signal }) => readApplications(signal),
  });
  const names = new Set(shelf.data?.map(({ name }) => name));
  if (application !== undefined) names.add(application);
  return (
    <Page title={words.pages.calls}>
      <Filters>
        <NativeSelect
          aria-label={words.calls.filter}
          value={application ?? ''}
          onChange={(event) =>
            void navigate({
              to: '/calls',
              search: { application: event.currentTarget.value || undefined },
              replace: true,
            })
          }
          data={[{ value: '', label: words.calls.anyApplication }, ...[...names].sort()]}
        />
      </Filters>
      <RunningCalls application={application} />
      <EndedCalls key={application ?? ''} application={application} />
    </Page>
  );
}
