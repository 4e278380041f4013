import { Button, SegmentedControl } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { Resource } from '../../api/resources';
import { Loaded } from '../../parts/ListState';
import { Section } from '../../parts/Page';
import { save } from '../../parts/save';
import { words } from '../../words/en';
import css from './Resource.module.css';

/** The whole description, as a document to read and to take away. */
export function DocumentTab({ view }: { view: Resource }) {
  const [form, setForm] = useState<'xml' | 'json'>('xml');
  const { id, name } = view.row;
  const xml = useQuery({
    queryKey: keys.resourceXml(id),
    queryFn: ({ signal }) =>
      ask(api.GET('/api/v1/resources/{id}/xml', { params: { path: { id } }, parseAs: 'text', signal })),
  });
  const json = JSON.stringify(view.description, null, 2);
  const text = form === 'xml' ? xml.data : json;
  return (
    <Section
      title={words.resources.tabs.document}
      beside={
        <>
          <SegmentedControl
            aria-label={words.resources.tabs.document}
            value={form}
            onChange={(next) => setForm(next)}
            data={[
              { value: 'xml', label: words.resources.xml },
              { value: 'json', label: words.resources.json },
            ]}
          />
          <Button
            variant="default"
            disabled={text === undefined}
            onClick={() =>
              save(`${name}.${form}`, form === 'xml' ? 'application/xml' : 'application/json', text ?? '')
            }
          >
            {words.resources.download}
          </Button>
        </>
      }
    >
      {form === 'xml' ? (
        <Loaded query={xml} lines={12}>
          {(document) => (
            // Long documents scroll, so they have to be reachable by keys.
            // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
            <pre className={css.document} tabIndex={0} aria-label={words.resources.xml}>
              {document}
            </pre>
          )}
        </Loaded>
      ) : (
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        <pre className={css.document} tabIndex={0} aria-label={words.resources.json}>
          {json}
        </pre>
      )}
    </Section>
  );
}
