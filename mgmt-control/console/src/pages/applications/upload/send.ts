import { CSRF_HEADER } from '../../../api/client';
import { problemOf, unreachable } from '../../../api/problem';
import type { UploadDone } from '../../../api/types';
import { sessionStore } from '../../../session/store';

export interface Progress {
  sent: number;
  total: number;
}

/** Sends a package. XMLHttpRequest, since `fetch` does not tell how much of a body has gone. */
export function send(
  bytes: Uint8Array,
  onProgress: (progress: Progress) => void,
  stopped: AbortSignal,
): Promise<UploadDone> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', '/api/v1/applications');
    request.setRequestHeader('content-type', 'application/zstd');
    request.setRequestHeader(CSRF_HEADER, sessionStore.get().view?.csrf ?? '');
    request.upload.onprogress = ({ loaded }) => onProgress({ sent: loaded, total: bytes.length });
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(new DOMException('stopped', 'AbortError'));
    request.onload = () => {
      const body = parsed(request.responseText);
      if (request.status === 401) sessionStore.lose();
      if (request.status >= 200 && request.status < 300) resolve(body as UploadDone);
      else reject(problemOf(request.status, body));
    };
    stopped.addEventListener('abort', () => request.abort(), { once: true });
    request.send(bytes as Uint8Array<ArrayBuffer>);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
