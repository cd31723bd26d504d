/** Writes a set of scenes into a folder: pictures and annotation files in the formats of the public data sets. */

import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { anything, type Checks, checkOptions } from '../../config/check-options.js';
import { CommError } from '../../config/errors.js';
import { makeFolder, writeDurablyAsync } from '../../files/durable.js';
import type { PictureRecord } from './annotations.js';
import * as annotations from './annotations.js';
import { renderScene, type WorldPicture } from './render.js';
import { makeScene, type Split } from './scene.js';
import type { SpriteBank } from './sprites.js';
import { sceneSeed } from './stream.js';
import type { PictureFormat, StyleChoice } from './vocabulary.js';

export interface WriteWorldOptions {
  readonly out: string;
  readonly bank: SpriteBank;
  readonly split: Split;
  readonly count: number;
  readonly seed: number;
  readonly style: StyleChoice;
  /** Long side in pixels. */
  readonly size: number;
  readonly format: PictureFormat;
  readonly signal?: AbortSignal | undefined;
  /** `fresh` counts what this run painted, `done` also what was there. */
  readonly onProgress?: ((done: number, fresh: number) => void) | undefined;
}

export interface WorldSummary {
  readonly out: string;
  readonly split: Split;
  readonly style: StyleChoice;
  readonly pictures: number;
  /** Pictures painted by this run; the rest was there. */
  readonly painted: number;
  /** Number of entries by annotation file. */
  readonly files: Readonly<Record<string, number>>;
}

const OPTIONS: Checks<WriteWorldOptions> = {
  out: anything,
  bank: anything,
  split: anything,
  count: anything,
  seed: anything,
  style: anything,
  size: anything,
  format: anything,
  signal: anything,
  onProgress: anything,
};

/** Pictures that go into the MMBench table, which carries them in base64. */
const MAX_MMBENCH = 200;
const PARALLEL = 4;
const MANIFEST = 'world.json';

/**
 * Paints the set and writes its annotations. A stopped run goes on where it was; files appear whole or not at all.
 * @throws CommError `world/other-set` when the folder holds a set made with other options, or other files.
 */
export async function writeWorld(options: WriteWorldOptions): Promise<WorldSummary> {
  checkOptions(options, OPTIONS, { what: 'The options of a world' });
  const { out, bank, count, seed, split, style, size, format } = options;
  await claimFolder(out, { split, style, count, seed, size, format, sprites: bank.version });
  await mkdir(join(out, 'images'), { recursive: true });
  const pictures = Array.from({ length: count }, (_, i): PictureRecord => {
    const scene = makeScene(sceneSeed(seed, i), { bank, split, style, size });
    return { id: i + 1, fileName: `images/${String(i + 1).padStart(8, '0')}.${format}`, scene };
  });
  const painted = await paintAll(pictures, options);
  const files = await writeAnnotations(pictures, out);
  return { out, split, style, pictures: count, painted, files };
}

/** Writes down what the folder is for, or checks that it is for the same. */
async function claimFolder(out: string, wanted: Record<string, unknown>): Promise<void> {
  makeFolder(out);
  const path = join(out, MANIFEST);
  const text = `${JSON.stringify(wanted, undefined, 2)}\n`;
  if (existsSync(path)) {
    if ((await readFile(path, 'utf8')) === text) return;
    throw new CommError(`The folder ${out} holds a set of scenes that was made with other options.`, {
      code: 'world/other-set',
      fix: `Name another folder, or remove this one; ${path} says what it holds.`,
    });
  }
  if ((await readdir(out)).length > 0) {
    throw new CommError(`The folder ${out} is not empty and holds no set of scenes.`, {
      code: 'world/other-set',
      fix: 'Name a new or empty folder.',
    });
  }
  await writeDurablyAsync(path, text);
}

async function paintAll(pictures: readonly PictureRecord[], options: WriteWorldOptions): Promise<number> {
  const { out, bank, signal, onProgress } = options;
  const missing = pictures.filter(({ fileName }) => !existsSync(join(out, fileName)));
  const before = pictures.length - missing.length;
  let fresh = 0;
  let next = 0;
  const worker = async () => {
    for (let item = missing[next++]; item; item = missing[next++]) {
      signal?.throwIfAborted();
      const bytes = await encode(renderScene(item.scene, bank), options.format);
      await writeDurablyAsync(join(out, item.fileName), bytes);
      fresh++;
      onProgress?.(before + fresh, fresh);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return fresh;
}

/** Compresses a picture. */
export async function encode({ width, height, data }: WorldPicture, format: PictureFormat): Promise<Uint8Array> {
  const { default: sharp } = await import('sharp');
  const picture = sharp(data, { raw: { width, height, channels: 3 } });
  return format === 'png'
    ? picture.png().toBuffer()
    : picture.jpeg({ quality: 92, chromaSubsampling: '4:4:4' }).toBuffer();
}

async function writeAnnotations(pictures: readonly PictureRecord[], out: string): Promise<Record<string, number>> {
  const files: Record<string, number> = {};
  const write = async (name: string, content: string, entries: number) => {
    await writeDurablyAsync(join(out, name), content);
    files[name] = entries;
  };
  const json = (value: unknown) => `${JSON.stringify(value)}\n`;
  const lines = (values: readonly unknown[]) => values.map(json).join('');

  const instances = annotations.cocoInstances(pictures);
  await write('instances.json', json(instances), instances.annotations.length);
  const captions = annotations.cocoCaptions(pictures);
  await write('captions.json', json(captions), captions.annotations.length);
  const rec = annotations.recLines(pictures);
  await write('refcoco.jsonl', lines(rec), rec.length);
  const refs = annotations.regionReferences(pictures);
  await write('refs.json', json(refs), refs.length);
  const vqa = annotations.vqaFiles(pictures);
  await write('vqa_questions.json', json(vqa.questions), vqa.questions.questions.length);
  await write('vqa_annotations.json', json(vqa.annotations), vqa.annotations.annotations.length);
  for (const split of annotations.POPE_SPLITS) {
    const pope = annotations.popeLines(pictures, split);
    await write(`pope_${split}.jsonl`, lines(pope), pope.length);
  }
  const v7w = annotations.visual7wPointing(pictures);
  await write(
    'v7w_pointing.json',
    json(v7w),
    v7w.images.reduce((sum, image) => sum + image.qa_pairs.length, 0),
  );
  const local = annotations.pointQaLocal(pictures);
  await write('pointqa_local.jsonl', lines(local), local.length);
  const twice = annotations.pointQaTwice(pictures);
  await write('pointqa_twice.jsonl', lines(twice), twice.length);
  const conversations = annotations.llavaConversations(pictures);
  await write('llava.json', json(conversations), conversations.length);
  await mkdir(join(out, 'mme'), { recursive: true });
  for (const [task, text] of Object.entries(annotations.mmeTasks(pictures))) {
    await write(`mme/${task}.txt`, text, text.split('\n').length - 1);
  }
  await writeEntities(pictures, out, files);
  await writeMmbench(pictures, out, write);
  return files;
}

async function writeEntities(
  pictures: readonly PictureRecord[],
  out: string,
  files: Record<string, number>,
): Promise<void> {
  for (const folder of ['Sentences', 'Annotations'])
    await mkdir(join(out, 'flickr30k_entities', folder), { recursive: true });
  for (const { name, sentences, xml } of annotations.flickrEntities(pictures)) {
    await writeDurablyAsync(join(out, 'flickr30k_entities', 'Sentences', `${name}.txt`), sentences);
    await writeDurablyAsync(join(out, 'flickr30k_entities', 'Annotations', `${name}.xml`), xml);
  }
  files['flickr30k_entities'] = pictures.length;
}

async function writeMmbench(
  pictures: readonly PictureRecord[],
  out: string,
  write: (name: string, content: string, entries: number) => Promise<void>,
): Promise<void> {
  const rows = [annotations.MMBENCH_COLUMNS.join('\t')];
  for (const picture of pictures.slice(0, MAX_MMBENCH)) {
    const image = (await readFile(join(out, picture.fileName))).toString('base64');
    for (const { cells } of annotations.mmbenchRows(picture)) rows.push([...cells, image].join('\t'));
  }
  await write('mmbench.tsv', `${rows.join('\n')}\n`, rows.length - 1);
}
