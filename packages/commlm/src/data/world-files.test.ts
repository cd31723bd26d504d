/** The files that `commlm world` writes are read by the readers of the public data sets, and say the same as the scenes. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DataSetConfig } from '../config/data-sets.js';
import type { PixelBox } from '../images/frames.js';
import { openDataSet } from './data-sets.js';
import { openPictureStore } from './pictures.js';
import type { DataSet, PictureStore, Sample } from './sample.js';
import { makeScene, type Scene } from './world/scene.js';
import { loadSpriteBank } from './world/sprites.js';
import { sceneSeed } from './world/stream.js';
import { type WorldSummary, writeWorld } from './world/write.js';

const COUNT = 12;
const SEED = 5;
const byId = { store: 'world', picture: 'images/{id:8}.png' };
const byName = { store: 'world' };

let folder: string;
let summary: WorldSummary;
let pictures: PictureStore;
let scenes: Map<string, Scene>;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'comm-world-files-'));
  const bank = await loadSpriteBank();
  const options = { bank, split: 'test', style: 'known', size: 96 } as const;
  summary = await writeWorld({ ...options, out: folder, count: COUNT, seed: SEED, format: 'png' });
  pictures = await openPictureStore({ kind: 'folder', folder });
  scenes = new Map(
    Array.from({ length: COUNT }, (_, i) => [
      `images/${String(i + 1).padStart(8, '0')}.png`,
      makeScene(sceneSeed(SEED, i), options),
    ]),
  );
});
after(async () => {
  await pictures?.close();
  await rm(folder, { recursive: true, force: true });
});

const path = (name: string): string => join(folder, name);

/** Opens a set and reads all of it; every picture is there. */
async function readAll(config: Record<string, unknown>): Promise<{ set: DataSet; samples: Sample[] }> {
  const set = await openDataSet(DataSetConfig.parse(config), { name: 'world' });
  const samples = Array.from({ length: set.length }, (_, i) => set.sample(i, 1));
  for (const { pictures: refs, where } of samples) {
    for (const { key } of refs) assert.ok(await pictures.has(key), `${where}: ${key}`);
  }
  return { set, samples };
}

/** Every box of the samples is that of a thing in the scene of its picture. */
function assertOwnBoxes(samples: readonly Sample[], tolerance: number): void {
  let numBoxes = 0;
  for (const { pictures: refs, turns, where } of samples) {
    const { objects } = scenes.get(refs[0]!.key)!;
    for (const mark of turns.flatMap(({ marks }) => marks)) {
      for (const box of mark.kind === 'boxes' ? mark.boxes : []) {
        numBoxes++;
        assert.ok(
          objects.some((object) => isNear(object.box, box, tolerance)),
          `${where}: ${box}`,
        );
      }
    }
  }
  assert.ok(numBoxes >= samples.length, `${numBoxes} boxes in ${samples.length} samples`);
}

function isNear(a: readonly number[], b: PixelBox, tolerance: number): boolean {
  return a.every((value, i) => Math.abs(value - b[i]!) <= tolerance);
}

test('COCO instances: every thing is there once, grouped by its name', async () => {
  const file = path('instances.json');
  const reg = await readAll({ kind: 'coco-instances', ...byName, file, task: 'reg' });
  const numThings = [...scenes.values()].reduce((sum, { objects }) => sum + objects.length, 0);
  assert.equal(reg.set.length, numThings);
  assertOwnBoxes(reg.samples, 0.01);
  const rec = await readAll({ kind: 'coco-instances', ...byName, file, task: 'rec' });
  const numNames = [...scenes.values()].reduce(
    (sum, { objects }) => sum + new Set(objects.map(({ noun }) => noun)).size,
    0,
  );
  assert.equal(rec.set.length, numNames);
});

test('COCO captions', async () => {
  const { set } = await readAll({ kind: 'coco-captions', ...byName, file: path('captions.json') });
  assert.equal(set.length, summary.files['captions.json']);
});

test('RefCOCO refs with instances, and lines of expressions', async () => {
  const files = { refs: path('refs.json'), instances: path('instances.json'), splits: ['test'] };
  const refs = await readAll({ kind: 'refcoco', ...byName, ...files, task: 'reg' });
  assert.ok(refs.set.length >= summary.files['refs.json']!);
  assertOwnBoxes(refs.samples, 0.01);
  await assert.rejects(
    readAll({ kind: 'refcoco', ...byName, ...files, splits: ['val'], task: 'reg' }),
    /nothing is in the split val/,
  );
  const lines = await readAll({ kind: 'region-lines', ...byName, file: path('refcoco.jsonl'), task: 'rec' });
  assert.equal(lines.set.length, summary.files['refcoco.jsonl']);
  assertOwnBoxes(lines.samples, 0);
});

test('VQAv2 questions and annotations', async () => {
  const files = { questions: path('vqa_questions.json'), annotations: path('vqa_annotations.json') };
  const { set, samples } = await readAll({ kind: 'vqa', ...byId, ...files });
  assert.equal(set.length, summary.files['vqa_questions.json']);
  for (const { turns } of samples) assert.match(turns[0]!.answer, /^The answer is \S.*\.$/);
});

test('POPE: an absent thing is absent, a present one is there', async () => {
  for (const split of ['random', 'popular', 'adversarial']) {
    const text = { kind: 'text', text: '<image><question>' };
    const { samples } = await readAll({ kind: 'pope', ...byName, file: path(`pope_${split}.jsonl`), templates: text });
    assert.equal(samples.length, summary.files[`pope_${split}.jsonl`]);
    for (const { turns, pictures: refs } of samples) {
      const noun = /Is there an? (.+) in the image\?/.exec(turns[0]!.question)![1]!;
      const isThere = scenes.get(refs[0]!.key)!.objects.some((object) => object.noun === noun);
      assert.equal(turns[0]!.answer, `The answer is ${isThere ? 'yes' : 'no'} .`);
    }
  }
});

test('Flickr30k Entities: five sentences a picture, every phrase with its box', async () => {
  const { set, samples } = await readAll({ kind: 'flickr-entities', ...byId, folder: path('flickr30k_entities') });
  assert.equal(set.length, 5 * COUNT);
  assertOwnBoxes(samples, 0.5);
  for (const { turns, pictures: refs } of samples) {
    assert.equal(turns[0]!.marks.length, scenes.get(refs[0]!.key)!.objects.length);
  }
});

test('Visual7W pointing, PointQA local and twice', async () => {
  const v7w = await readAll({
    kind: 'visual7w',
    ...byName,
    file: path('v7w_pointing.json'),
    splits: ['test'],
    place: 'b',
  });
  assert.equal(v7w.set.length, summary.files['v7w_pointing.json']);
  for (const { turns } of v7w.samples) assert.equal(turns[0]!.marks.length, 5);
  const local = await readAll({ kind: 'pointqa-local', ...byName, file: path('pointqa_local.jsonl'), place: 'b' });
  assert.equal(local.set.length, summary.files['pointqa_local.jsonl']);
  assertOwnBoxes(local.samples, 0);
  const twice = { kind: 'pointqa-twice', ...byName, file: path('pointqa_twice.jsonl'), question: 'gq', place: 'p' };
  assert.equal((await readAll(twice)).set.length, summary.files['pointqa_twice.jsonl']);
});

test('LLaVA conversations', async () => {
  const { set, samples } = await readAll({ kind: 'llava', ...byName, file: path('llava.json') });
  assert.equal(set.length, COUNT);
  for (const { turns } of samples) assert.match(turns[0]!.question, /^<image>\n/);
});

test('the pictures of the MMBench table are those of the folder', async () => {
  const table = await openPictureStore({
    kind: 'tsv',
    file: path('mmbench.tsv'),
    columns: { key: 'index', image: 'image' },
  });
  assert.deepEqual(Buffer.from(await table.read('1000003')), await readFile(path('images/00000003.png')));
  await table.close();
});
