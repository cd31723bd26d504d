/**
 * Which model it is, without reading all of it: for telling whether a run that goes on is still asked of the same one.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, readdirSync, readSync } from 'node:fs';
import { basename, join } from 'node:path';
import { openRegularFile } from '../files/read.js';
import { resolveFolders, resolveModelFolder } from '../hub/model-folder.js';
import type { LoadOptions } from './load-options.js';

/** Values that change a model's answers. */
export interface ModelIdentity {
  /** Name of the model: its folder's name. */
  readonly model: string;
  /** Digest over the files of the model and of the folders that it takes more from. */
  readonly files: string;
  readonly dtype: string;
  readonly device: string;
}

/** A file up to this size is read whole, of a larger one so many samples: training changes weights everywhere. */
const WHOLE_BYTES = 4 * 2 ** 20;
const NUM_SAMPLES = 64;
const SAMPLE_BYTES = WHOLE_BYTES / NUM_SAMPLES;

/** The identity of what `loadModel` would load. */
export function modelIdentity(model: string | undefined, options: LoadOptions = {}): ModelIdentity {
  const folder = resolveModelFolder(model);
  const { visionTowers = [], base, lora } = resolveFolders(options);
  const hash = createHash('sha256');
  for (const place of [folder, ...visionTowers, base, lora]) if (place !== undefined) addFolder(hash, place, '');
  return {
    model: basename(folder),
    files: hash.digest('hex'),
    dtype: options.dtype ?? 'auto',
    device: options.device ?? 'cpu',
  };
}

function addFolder(hash: Hash, root: string, below: string): void {
  const entries = readdirSync(join(root, below), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const name = join(below, entry.name);
    // What changes no answer: the card, and what the model says of itself.
    if (entry.name.startsWith('.') || entry.name.endsWith('.md') || entry.name === 'commlm.json') continue;
    if (entry.isDirectory()) addFolder(hash, root, name);
    // A hub's cache holds links.
    else if (entry.isFile() || entry.isSymbolicLink()) addFile(hash, join(root, name), name);
  }
}

function addFile(hash: Hash, path: string, name: string): void {
  const fd = openRegularFile(path, "a file of the model's folder");
  try {
    const { size } = fstatSync(fd);
    hash.update(`${name}\0${size}\0`);
    const numSamples = size <= WHOLE_BYTES ? Math.ceil(size / SAMPLE_BYTES) : NUM_SAMPLES;
    const step = size <= WHOLE_BYTES ? SAMPLE_BYTES : (size - SAMPLE_BYTES) / (NUM_SAMPLES - 1);
    const sample = Buffer.alloc(SAMPLE_BYTES);
    for (let i = 0; i < numSamples; i++) {
      const numRead = readSync(fd, sample, 0, SAMPLE_BYTES, Math.floor(i * step));
      hash.update(sample.subarray(0, numRead));
    }
  } finally {
    closeSync(fd);
  }
}
