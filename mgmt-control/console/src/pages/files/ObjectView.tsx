import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import { ConfirmButton } from '../../parts/ConfirmButton';
import { Facts } from '../../parts/Facts';
import { Icon } from '../../parts/Icon';
import { Loaded } from '../../parts/ListState';
import { Page, Section } from '../../parts/Page';
import { StateBadge } from '../../parts/StateBadge';
import { Clock } from '../../parts/Time';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { bytes, plural } from '../../words/format';
import { ObjectPreview } from './ObjectPreview';
import { Stripes } from './Stripes';

interface Props {
  bucket: string;
  element: string | undefined;
  prefix: string;
  objectKey: string;
}

/** Where the bytes of an object are. */
export function contentPath(bucket: string, key: string, show: boolean): string {
  const query = new URLSearchParams({ key, ...(show && { show: 'true' }) });
  return `/api/v1/console/buckets/${encodeURIComponent(bucket)}/object/content?${query.toString()}`;
}

export function ObjectView({ bucket, element, prefix, objectKey: key }: Props) {
  const may = useMay();
  const navigate = useNavigate();
  const back = {
    to: '/files/$bucket' as const,
    params: { bucket },
    search: { element, prefix: prefix || undefined },
  };
  const query = useQuery({
    queryKey: keys.object(bucket, key),
    queryFn: ({ signal }) =>
      ask(
        api.GET('/api/v1/console/buckets/{bucket}/object', {
          params: { path: { bucket }, query: { key } },
          signal,
        }),
      ),
  });
  return (
    <Page
      title={key}
      beside={<Link {...back}>{words.objects.back(bucket)}</Link>}
      actions={
        <>
          <Button
            component="a"
            href={contentPath(bucket, key, false)}
            download
            variant="default"
            leftSection={<Icon name="down" size={14} />}
          >
            {words.resources.download}
          </Button>
          {may('ObjectDelete') && (
            <ConfirmButton
              dangerous
              label={words.objects.remove}
              name={key}
              text={words.objects.removeText(key)}
              act={async () => {
                await ask(
                  api.DELETE('/api/v1/console/buckets/{bucket}/object', {
                    params: { path: { bucket }, query: { key } },
                  }),
                );
                void navigate(back);
              }}
            />
          )}
        </>
      }
    >
      <Loaded query={query} lines={10}>
        {({ object, version, metadata, blocks_missing }) => (
          <>
            <Section title={words.resources.tabs.info}>
              <Facts
                facts={[
                  { label: words.data.size, value: bytes(object.size) },
                  {
                    label: words.common.kind,
                    value: <span className="name">{object.content_type ?? '–'}</span>,
                  },
                  { label: words.objects.modified, value: <Clock time={object.modified} /> },
                  {
                    label: words.objects.blocks,
                    value: (
                      <StateBadge
                        state={
                          blocks_missing === 0
                            ? { tone: 'ok', word: words.files.whole }
                            : {
                                tone: 'warning',
                                word: words.objects.missing(plural(blocks_missing, 'block')),
                              }
                        }
                      />
                    ),
                  },
                  { label: words.objects.etag, value: <code>{object.etag}</code> },
                  { label: words.objects.version, value: <code>{version}</code> },
                  ...Object.entries(metadata).map(([label, value]) => ({
                    label,
                    value: <span className="name">{value}</span>,
                  })),
                ]}
              />
            </Section>
            <ObjectPreview key={object.etag} bucket={bucket} object={object} />
            <Stripes bucket={bucket} objectKey={key} />
          </>
        )}
      </Loaded>
    </Page>
  );
}
