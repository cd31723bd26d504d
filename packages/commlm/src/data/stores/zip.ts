/** Pictures in a zip archive, read where they lie. */
import { promisify } from 'node:util';
import yauzl, { type Entry, type ZipFile } from 'yauzl';
import { CommError } from '../../config/errors.js';
import { checkFile } from '../../files/read.js';
import { pictureError, reasonOf } from '../fault.js';
import { NearestKeys } from '../nearest-key.js';
import type { PictureStore } from '../sample.js';
import { checkPictureSize, MAX_PICTURE_BYTES, tooLarge } from './picture-bytes.js';

const openZip = promisify<string, yauzl.Options, ZipFile>(yauzl.open);

/** Opens a zip archive by its list of members; keys are their names. @throws CommError `data/picture` for a damaged one. */
export async function openZipStore(file: string): Promise<PictureStore> {
  checkFile(file, 'the pictures');
  let zip: ZipFile;
  let entries: Map<string, Entry>;
  try {
    zip = await openZip(file, { lazyEntries: true, autoClose: false });
    entries = await listEntries(zip, file);
  } catch (error) {
    if (error instanceof CommError) throw error;
    throw pictureError(file, reasonOf(error), { cause: error, fix: 'Check the path and that the download is whole.' });
  }
  const nearest = new NearestKeys(() => entries.keys());
  return {
    async read(key) {
      const entry = entries.get(key);
      if (entry === undefined) throw await nearest.missing(file, key);
      checkPictureSize(`${file}, ${key}`, entry.uncompressedSize);
      try {
        return await readEntry(zip, entry, `${file}, ${key}`);
      } catch (error) {
        if (error instanceof CommError) throw error;
        throw pictureError(`${file}, ${key}`, reasonOf(error), { cause: error });
      }
    },
    has: async (key) => entries.has(key),
    close: async () => zip.close(),
  };
}

/** Members by name. @throws CommError `data/picture` where two of one name differ: which is meant is not known. */
function listEntries(zip: ZipFile, file: string): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>();
  return new Promise((resolve, reject) => {
    zip.on('entry', (entry: Entry) => {
      const name = entry.fileName;
      const before = entries.get(name);
      if (before !== undefined && !isSameContent(before, entry)) {
        const fix = 'Pack it again with each picture once.';
        return reject(pictureError(`${file}, ${name}`, 'the member is there twice, with other content.', { fix }));
      }
      if (!name.endsWith('/')) entries.set(name, entry);
      zip.readEntry();
    });
    zip.on('end', () => resolve(entries));
    zip.on('error', reject);
    zip.readEntry();
  });
}

const isSameContent = (a: Entry, b: Entry): boolean => a.crc32 === b.crc32 && a.uncompressedSize === b.uncompressedSize;

function readEntry(zip: ZipFile, entry: Entry, where: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    zip.openReadStream(entry, (error, stream) => {
      if (error) return reject(error);
      const chunks: Buffer[] = [];
      let size = 0;
      stream.on('data', (chunk: Buffer) => {
        // The list of members may say less than there is.
        size += chunk.length;
        if (size > MAX_PICTURE_BYTES) stream.destroy(tooLarge(where, size));
        else chunks.push(chunk);
      });
      stream.on('end', () => resolve(Buffer.concat(chunks)));
      stream.on('error', reject);
    });
  });
}
