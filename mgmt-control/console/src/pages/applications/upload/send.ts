import { send } from '../../../api/send';
import type { UploadDone } from '../../../api/types';

export interface Progress {
  sent: number;
  total: number;
}

/** Sends a package. */
export function sendPackage(
  bytes: Uint8Array<ArrayBuffer>,
  onProgress: (progress: Progress) => void,
  stopped: AbortSignal,
): Promise<UploadDone> {
  return send({
    method: 'POST',
    path: '/api/v1/applications',
    contentType: 'application/zstd',
    body: bytes,
    onProgress: (sent) => onProgress({ sent, total: bytes.length }),
    stopped,
  });
}
