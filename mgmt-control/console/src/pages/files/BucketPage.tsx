import { useQuery } from '@tanstack/react-query';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import type { ReactNode } from 'react';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { ConfirmButton } from '../../parts/ConfirmButton';
import { Copyable } from '../../parts/Copyable';
import { Facts } from '../../parts/Facts';
import { Loaded } from '../../parts/ListState';
import { Page, Section } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { RuleTable } from '../../parts/RuleTable';
import { StateBadge } from '../../parts/StateBadge';
import { Ago } from '../../parts/Time';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { bytes, count } from '../../words/format';
import { ObjectBrowser } from './ObjectBrowser';
import { ObjectView } from './ObjectView';
import { Uploads } from './upload/Uploads';
import { useUploads } from './upload/useUploads';
import { bucketState } from './FilesPage';

/** How a bucket is comes with its Element's heartbeat, so a look now and then is enough. */
const LOOK_MS = 5_000;

export function BucketPage() {
  const { bucket } = useParams({ from: '/shell/files/$bucket' });
  return <BucketShown key={bucket} name={bucket} />;
}

/** Files go on being sent while folders and objects of their bucket are looked at. */
function BucketShown({ name }: { name: string }) {
  const { element, prefix = '', key } = useSearch({ from: '/shell/files/$bucket' });
  const uploads = useUploads(name);
  const list = <Uploads list={uploads.list} onRemove={uploads.remove} onAgain={uploads.again} />;
  const shared = { element, prefix };
  if (key !== undefined) {
    return (
      <>
        {list}
        <ObjectView key={key} bucket={name} objectKey={key} {...shared} />
      </>
    );
  }
  return (
    <Bucket name={name} element={element}>
      {list}
      <ObjectBrowser key={prefix} bucket={name} onFiles={uploads.add} {...shared} />
    </Bucket>
  );
}

interface BucketProps {
  name: string;
  element: string | undefined;
  children: ReactNode;
}

function Bucket({ name, element, children }: BucketProps) {
  const may = useMay();
  const navigate = useNavigate();
  const at = { path: { name }, query: { element } };
  const query = useQuery({
    refetchInterval: LOOK_MS,
    queryKey: keys.bucket(name, element),
    queryFn: ({ signal }) => ask(api.GET('/api/v1/buckets/{name}', { params: at, signal })),
  });
  const empty = query.data?.area.state?.number_of_files === 0;
  return (
    <Page
      title={name}
      beside={query.data && <StateBadge state={bucketState(query.data)} />}
      actions={
        empty &&
        may('BucketDelete') && (
          <ConfirmButton
            dangerous
            label={words.files.remove}
            name={name}
            text={words.files.removeText(name)}
            done={words.files.removed(name)}
            act={async () => {
              await ask(api.DELETE('/api/v1/buckets/{name}', { params: at }));
              void navigate({ to: '/files' });
            }}
          />
        )
      }
    >
      {may('ObjectList') && children}
      <Loaded query={query} lines={8}>
        {({ area: { info, state, policy, access }, owner, element: id, element_name }) => (
          <>
            <Section
              title={words.resources.tabs.info}
              beside={
                state && (
                  <span className="soft">
                    {words.common.observedAt} <Ago time={state.creation_time} />
                  </span>
                )
              }
            >
              <Facts
                facts={[
                  { label: words.files.redundancy, value: <code>{info.redundancy}</code> },
                  { label: words.files.owner, value: <span className="name">{owner}</span> },
                  { label: words.files.element, value: <ResourceName id={id} name={element_name} /> },
                  { label: words.files.objects, value: state ? count(state.number_of_files) : '–' },
                  { label: words.files.used, value: state ? bytes(state.used_online_size) : '–' },
                  { label: words.files.free, value: state ? bytes(state.free_online_size) : '–' },
                  {
                    label: words.files.quota,
                    value: typeof policy?.quota === 'number' ? bytes(policy.quota) : words.files.noLimit,
                  },
                  {
                    label: words.files.quotaObjects,
                    value:
                      typeof policy?.max_num_files === 'number'
                        ? count(policy.max_num_files)
                        : words.files.noLimit,
                  },
                ]}
              />
              <p className="soft">{words.files.use}</p>
              <Copyable text={`gridmart ls -l ${name}`} />
            </Section>
            <Section title={words.files.rules}>
              <RuleTable rules={access?.rules ?? []} none={words.files.noRules} />
            </Section>
          </>
        )}
      </Loaded>
    </Page>
  );
}
