/** Pictures in a zip archive, read where they lie. */
import { promisify } from 'node:util';
import yauzl, { type Entry, type ZipFile } from 'yauzl';
import { noPicture, pictureError, reasonOf } from '../fault.js';
import type { PictureStore } from '../sample.js';

const openZip = promisify<string, yauzl.Options, ZipFile>(yauzl.open);

/** Opens a zip archive by its list of members; keys are their names. @throws CommError `data/picture` for a damaged one. */
export async function openZipStore(file: string): Promise<PictureStore> {
  let zip: ZipFile;
  let entries: Map<string, Entry>;
  try {
    zip = await openZip(file, { lazyEntries: true, autoClose: false });
    entries = await listEntries(zip);
  } catch (error) {
    throw pictureError(file, reasonOf(error), { cause: error, fix: 'Check the path and that the download is whole.' });
  }
  return {
    async read(key) {
      const entry = entries.get(key);
      if (entry === undefined) throw noPicture(file, key, entries.keys());
      try {
        return await readEntry(zip, entry);
      } catch (error) {
        throw pictureError(`${file}, ${key}`, reasonOf(error), { cause: error });
      }
    },
    has: async (key) => entries.has(key),
    close: async () => zip.close(),
  };
}

function listEntries(zip: ZipFile): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>();
  return new Promise((resolve, reject) => {
    zip.on('entry', (entry: Entry) => {
      if (!entry.fileName.endsWith('/')) entries.set(entry.fileName, entry);
      zip.readEntry();
    });
    zip.on('end', () => resolve(entries));
    zip.on('error', reject);
    zip.readEntry();
  });
}

function readEntry(zip: ZipFile, entry: Entry): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    zip.openReadStream(entry, (error, stream) => {
      if (error) return reject(error);
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => resolve(Buffer.concat(chunks)));
      stream.on('error', reject);
    });
  });
}
