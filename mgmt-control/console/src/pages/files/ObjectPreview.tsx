import { useQuery } from '@tanstack/react-query';

import { asProblem, problemOf } from '../../api/problem';
import type { ObjectRow } from '../../api/types';
import { Loaded } from '../../parts/ListState';
import { Section } from '../../parts/Page';
import { words } from '../../words/en';
import { bytes } from '../../words/format';
import { previewOf } from './keys';
import { contentPath } from './ObjectView';
import css from './Objects.module.css';

/** As much of a text as is shown. */
const TEXT_BYTES = 64 * 1024;

/** What is in an object, as far as a browser can show it. */
export function ObjectPreview({ bucket, object }: { bucket: string; object: ObjectRow }) {
  const kind = previewOf(object.content_type, object.key);
  if (kind === 'unknown' || object.size === 0) return null;
  const source = contentPath(bucket, object.key, true);
  return (
    <Section title={words.objects.preview}>
      {kind === 'image' && <img className={css.preview} src={source} alt={object.key} />}
      {/* What somebody has put there has no captions that this page could know of. */}
      {/* eslint-disable-next-line jsx-a11y/media-has-caption */}
      {kind === 'video' && <video className={css.preview} src={source} controls preload="metadata" />}
      {/* eslint-disable-next-line jsx-a11y/media-has-caption */}
      {kind === 'audio' && <audio src={source} controls preload="metadata" />}
      {kind === 'text' && <TextPreview source={source} size={object.size} />}
    </Section>
  );
}

async function readText(source: string, signal: AbortSignal): Promise<string> {
  const answer = await fetch(source, { headers: { range: `bytes=0-${TEXT_BYTES - 1}` }, signal });
  if (!answer.ok) throw problemOf(answer.status, await answer.json().catch(asProblem));
  return new TextDecoder().decode(await answer.arrayBuffer());
}

function TextPreview({ source, size }: { source: string; size: number }) {
  const query = useQuery({
    queryKey: ['text', source],
    queryFn: ({ signal }) => readText(source, signal),
    gcTime: 0,
  });
  return (
    <Loaded query={query} lines={8}>
      {(text) => (
        <>
          {/* A long text scrolls, so it has to be reachable by keys. */}
          {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
          <pre className={css.text} tabIndex={0} aria-label={words.objects.preview}>
            {text}
          </pre>
          {size > TEXT_BYTES && <p className="soft">{words.objects.cut(bytes(TEXT_BYTES))}</p>}
        </>
      )}
    </Loaded>
  );
}
