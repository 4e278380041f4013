import { sessionStore } from '../session/store';
import { CSRF_HEADER } from './client';
import { problemOf, unreachable } from './problem';

interface Sending {
  method: 'POST' | 'PUT';
  path: string;
  contentType: string;
  body: Blob | Uint8Array<ArrayBuffer>;
  onProgress: (sent: number) => void;
  stopped: AbortSignal;
}

/** Sends bytes. XMLHttpRequest, since `fetch` does not tell how much of a body has gone. */
export function send<T>({ method, path, contentType, body, onProgress, stopped }: Sending): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, path);
    request.setRequestHeader('content-type', contentType);
    request.setRequestHeader(CSRF_HEADER, sessionStore.get().view?.csrf ?? '');
    request.upload.onprogress = ({ loaded }) => onProgress(loaded);
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(new DOMException('stopped', 'AbortError'));
    request.onload = () => {
      const answer = parsed(request.responseText);
      if (request.status === 401) sessionStore.lose();
      if (request.status >= 200 && request.status < 300) resolve(answer as T);
      else reject(problemOf(request.status, answer));
    };
    stopped.addEventListener('abort', () => request.abort(), { once: true });
    request.send(body);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
