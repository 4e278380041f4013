// One file on its way into a bucket: in parts, some at a time, each tried again, and gone on with where
// it stopped, after a reload of the page as well.
import { api, ask } from '../../../api/client';
import { asProblem } from '../../../api/problem';
import { send } from '../../../api/send';
import type { ObjectPartRow, ObjectUploadView } from '../../../api/types';
import { missing, plan, type Part } from './plan';

const PARTS_AT_A_TIME = 3;
const TRIES = 5;
const TYPE_MAX = 200;

interface Kept {
  upload: string;
  size: number;
  modified: number;
}

const keptAs = (bucket: string, key: string) => `gridmart-upload ${bucket}/${key}`;

/** What was begun of this very file before, if it is remembered. */
function remembered(bucket: string, key: string, file: File): string | undefined {
  try {
    const kept = JSON.parse(localStorage.getItem(keptAs(bucket, key)) ?? 'null') as Kept | null;
    return kept?.size === file.size && kept.modified === file.lastModified ? kept.upload : undefined;
  } catch {
    return undefined;
  }
}

function remember(bucket: string, key: string, kept: Kept | undefined): void {
  try {
    if (kept) localStorage.setItem(keptAs(bucket, key), JSON.stringify(kept));
    else localStorage.removeItem(keptAs(bucket, key));
  } catch {
    // Without storage a reload begins anew; nothing else is lost.
  }
}

async function begin(bucket: string, key: string, file: File): Promise<ObjectUploadView> {
  const known = remembered(bucket, key, file);
  if (known !== undefined) {
    try {
      const path = { bucket, upload: known };
      return await ask(api.GET('/api/v1/console/buckets/{bucket}/uploads/{upload}', { params: { path } }));
    } catch (thrown) {
      if (asProblem(thrown).status !== 404) throw thrown;
    }
  }
  const content_type = file.type === '' ? undefined : file.type.slice(0, TYPE_MAX);
  const body = { key, content_type };
  const begun = await ask(
    api.POST('/api/v1/console/buckets/{bucket}/uploads', { params: { path: { bucket } }, body }),
  );
  remember(bucket, key, { upload: begun.upload, size: file.size, modified: file.lastModified });
  return begun;
}

export interface Upload {
  bucket: string;
  key: string;
  file: File;
  onProgress: (sent: number) => void;
  stopped: AbortSignal;
}

/** Puts a file; tells how many of its bytes have gone. */
export async function put({ bucket, key, file, onProgress, stopped }: Upload): Promise<void> {
  const view = await begin(bucket, key, file);
  const parts = plan(file.size, view.part_bytes);
  const there = new Map(view.parts.map((part) => [part.number, part]));
  const left = missing(parts, view.parts);
  const sent = new Map(parts.map((part) => [part.number, left.includes(part) ? 0 : part.to - part.from]));
  const tell = () => onProgress([...sent.values()].reduce((sum, bytes) => sum + bytes, 0));
  tell();
  const cut = new AbortController();
  const stop = AbortSignal.any([stopped, cut.signal]);
  const next = () => left.shift();
  const worker = async () => {
    for (let part = next(); part; part = next()) {
      const { number } = part;
      const made = await putPart({ bucket, upload: view.upload, part, file, stopped: stop }, (bytes) => {
        sent.set(number, bytes);
        tell();
      });
      there.set(number, made);
    }
  };
  try {
    await Promise.all(Array.from({ length: PARTS_AT_A_TIME }, worker));
  } catch (thrown) {
    // The other parts under way are sent again with the rest.
    cut.abort();
    throw thrown;
  }
  await ask(
    api.POST('/api/v1/console/buckets/{bucket}/uploads/{upload}', {
      params: { path: { bucket, upload: view.upload } },
      body: {
        parts: parts.map(({ number }) => [number, there.get(number)?.etag ?? ''] as never),
        if_absent: false,
      },
    }),
  );
  remember(bucket, key, undefined);
}

interface PartSending {
  bucket: string;
  upload: string;
  part: Part;
  file: File;
  stopped: AbortSignal;
}

async function putPart(
  { bucket, upload, part, file, stopped }: PartSending,
  onProgress: (sent: number) => void,
): Promise<ObjectPartRow> {
  const path = `/api/v1/console/buckets/${encodeURIComponent(bucket)}/uploads/${upload}/parts/${part.number}`;
  for (let tries = 1; ; tries += 1) {
    try {
      return await send({
        method: 'PUT',
        path,
        contentType: 'application/octet-stream',
        body: file.slice(part.from, part.to),
        onProgress,
        stopped,
      });
    } catch (thrown) {
      onProgress(0);
      const isOver = thrown instanceof DOMException || tries === TRIES || !asProblem(thrown).retryable;
      if (isOver) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** tries));
    }
  }
}

/** Gives up what was begun; what is on the Hosts already is removed. */
export async function forget(bucket: string, key: string, file: File): Promise<void> {
  const upload = remembered(bucket, key, file);
  remember(bucket, key, undefined);
  if (upload === undefined) return;
  const path = { bucket, upload };
  await ask(api.DELETE('/api/v1/console/buckets/{bucket}/uploads/{upload}', { params: { path } }));
}
