// What was dropped or chosen, as the bytes of a package.
import { words } from '../../../words/en';
import { tar, zstdStore, type PackedFile } from './tar';

const ZSTD_MAGIC = 0xfd2fb528;
/** The controller's limit may be lower; this keeps a slip of the hand from filling the memory. */
const BYTES_MAX = 512 * 1024 * 1024;
const FILES_MAX = 10_000;

interface Found {
  path: string;
  file: File;
}

/** Files of a chosen folder: the browser puts the folder's own name before their paths. */
export function chosenFolder(files: File[]): Found[] {
  return files.map((file) => ({
    path: file.webkitRelativePath.split('/').slice(1).join('/') || file.name,
    file,
  }));
}

/** What a drop holds: one folder, or files. */
export async function droppedFiles(data: DataTransfer): Promise<Found[]> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const found: Found[] = [];
  const only = entries.length === 1 ? entries[0] : undefined;
  if (only?.isDirectory === true) await walk(only as FileSystemDirectoryEntry, '', found);
  else for (const entry of entries) await visit(entry, '', found);
  return found;
}

async function walk(folder: FileSystemDirectoryEntry, inside: string, found: Found[]): Promise<void> {
  const reader = folder.createReader();
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return;
    for (const entry of some) await visit(entry, inside, found);
  }
}

async function visit(entry: FileSystemEntry, inside: string, found: Found[]): Promise<void> {
  const path = inside === '' ? entry.name : `${inside}/${entry.name}`;
  if (entry.isDirectory) return walk(entry as FileSystemDirectoryEntry, path, found);
  if (found.length >= FILES_MAX) throw new Error(words.applications.tooMany(FILES_MAX));
  const file = await new Promise<File>((resolve, reject) =>
    (entry as FileSystemFileEntry).file(resolve, reject),
  );
  found.push({ path, file });
}

/** Makes the package: of a folder's files, or of a package that is one already. */
export async function packageOf(found: Found[]): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = found.reduce((sum, { file }) => sum + file.size, 0);
  if (bytes > BYTES_MAX) throw new Error(words.applications.tooLarge(BYTES_MAX));
  const only = found.length === 1 ? found[0] : undefined;
  if (only && only.path !== 'AEDoc.xml') return packed(await read(only.file));
  if (!found.some(({ path }) => path === 'AEDoc.xml')) throw new Error(words.applications.noManifest);
  const files: PackedFile[] = [];
  for (const { path, file } of found) files.push({ path, bytes: await read(file) });
  return zstdStore(tar(files));
}

/** A package goes as it is; a plain tar is put into a frame. */
function packed(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (bytes.length >= 4 && new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) === ZSTD_MAGIC)
    return bytes;
  if (new TextDecoder().decode(bytes.subarray(257, 262)) === 'ustar') return zstdStore(bytes);
  throw new Error(words.applications.noPackage);
}

async function read(file: File): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await file.arrayBuffer());
}
