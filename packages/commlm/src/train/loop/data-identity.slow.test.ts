/** Which data a run began with: what is looked at, and how a change is told. */
import assert from 'node:assert/strict';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { DataConfig, MixtureData } from '../../config/comm-train.js';
import type { Recipe } from '../../config/recipe.js';
import { recipe as clip } from '../../recipes/clip-vit-l14.js';
import { recipe as dinov2 } from '../../recipes/dinov2-vit-l14.js';
import { recipe as world } from '../../recipes/tiny-clip.js';
import { recipe as own } from '../../recipes/tiny-own-data.js';
import type { DataIdentity } from './data-facts.js';
import { changesOf, identifyData, recordedData, refuseChanges } from './data-identity.js';
import { dataOf } from './data-sources.js';

const folder = mkdtempSync(join(tmpdir(), 'comm-identity-'));
after(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

const stage = own as Extract<Recipe, { kind: 'comm' }>;
const mixture = stage.comm.data as MixtureData;
const withData = (data: Partial<DataConfig>): typeof stage => ({
  ...stage,
  comm: { ...stage.comm, data: { ...mixture, ...data } },
});

function writeSet(): typeof stage {
  mkdirSync(at('images'), { recursive: true });
  const names = ['a.png', 'b.png', 'c.png'];
  // As long as each other, so that only their bytes tell them apart.
  for (const name of names) writeFileSync(at(`images/${name}`), `bytes of ${name}`);
  writeFileSync(at('images/other.png'), 'no sample shows it');
  const records = names.map((image) => ({
    image,
    conversations: [
      { from: 'human', value: 'What?' },
      { from: 'gpt', value: 'A box.' },
    ],
  }));
  writeFileSync(at('own.json'), JSON.stringify(records));
  return withData({
    stores: { images: { kind: 'folder', folder: at('images') } },
    sets: { own: { kind: 'llava', file: at('own.json'), store: 'images' } },
  });
}

test('annotations are known by every byte, pictures of a folder by those that samples show', async () => {
  const recipe = writeSet();
  const before = await identifyData(recipe);
  assert.deepEqual(Object.keys(before), [at('own.json'), 'pictures of own in images']);
  assert.deepEqual(Object.keys(before['pictures of own in images']!.pictures!), ['a.png', 'b.png', 'c.png']);
  const changed = async (): Promise<string[]> => changesOf(before, await identifyData(recipe));
  assert.deepEqual(await changed(), []);
  writeFileSync(at('images/other.png'), 'what no sample shows may change');
  writeFileSync(at('images/new.png'), 'and be joined');
  assert.deepEqual(await changed(), []);

  renameSync(at('images/a.png'), at('t'));
  renameSync(at('images/b.png'), at('images/a.png'));
  renameSync(at('t'), at('images/b.png'));
  assert.deepEqual(await changed(), ['pictures of own in images: a.png, b.png with other content']);
  rmSync(at('images/c.png'));
  assert.deepEqual(await changed(), ['pictures of own in images: a.png, b.png, c.png with other content']);

  writeSet();
  writeFileSync(at('own.json'), '[{"a":1}]');
  assert.match((await changed()).join(), /own\.json has 9 bytes in place of \d+/);
  writeSet();
  writeFileSync(at('own.json'), `${' '.repeat(before[at('own.json')]!.bytes! - 2)}[]`);
  assert.deepEqual(await changed(), [`${at('own.json')} has other content of the same size`]);
  rmSync(at('own.json'));
  await assert.rejects(changed(), { code: 'file/missing', message: /own\.json/ });
});

test('archives are known by their bytes, large ones by stretches of them', { timeout: 120_000 }, async () => {
  const recipe = writeSet();
  const archive = at('pictures.tsv');
  const stores = { images: { kind: 'tsv', file: archive, columns: { key: 0, image: 1 } } } as const;
  const { sets } = recipe.comm.data as MixtureData;
  const identify = (): Promise<DataIdentity> => identifyData(withData({ sets, stores }));
  writeFileSync(archive, 'a.png\tAAAA\n');
  const small = await identify();
  assert.deepEqual(Object.keys(small), [at('own.json'), archive]);
  writeFileSync(archive, 'a.png\tAAAB\n');
  assert.deepEqual(changesOf(small, await identify()), [`${archive} has other content of the same size`]);

  truncateSync(archive, 2 ** 28 + 12345);
  const large = await identify();
  assert.equal(large[archive]!.bytes, 2 ** 28 + 12345);
  assert.equal(large[archive]!.read, 2 ** 28);
  // The end, where zip and parquet keep their lists, is among the stretches.
  writeSync(openSync(archive, 'r+'), 'x', 2 ** 28 + 12344);
  assert.deepEqual(changesOf(large, await identify()), [`${archive} has other content of the same size`]);
});

test('a folder that is a set as a whole is known by the names, sizes and bytes of its files', async () => {
  writeSet();
  const base = dinov2 as Extract<Recipe, { kind: 'dinov2' }>;
  const data = { kind: 'pictures', folder: at('images'), seed: 0, workers: 1, maxBroken: 0 } as const;
  const recipe: Recipe = { ...base, dinov2: { ...base.dinov2, data } };
  const before = await identifyData(recipe);
  assert.deepEqual(Object.keys(before), [at('images')]);
  writeFileSync(at('images/a.png'), 'BYTES OF a.png');
  assert.deepEqual(changesOf(before, await identifyData(recipe)), [
    `${at('images')} has other content of the same size`,
  ]);
  cpSync(at('images/a.png'), at('images/d.png'));
  const { files } = before[at('images')]!;
  assert.deepEqual(changesOf(before, await identifyData(recipe)), [
    `${at('images')} has ${files! + 1} files in place of ${files}`,
  ]);
});

test('what a recipe reads is found in every kind of it', async () => {
  const paths = (recipe: Recipe): string[] =>
    dataOf(recipe).sources.map((source) =>
      source.kind === 'pictures' ? `${source.set} in ${source.store}` : source.path,
    );
  assert.deepEqual(await identifyData(world), {}, 'scenes are drawn, not read');
  assert.ok(paths(clip).length >= 2);
  const sets = {
    flickr: { kind: 'flickr-entities', folder: 'f', ids: 'train.txt', store: 'images' },
    rec: {
      kind: 'refcoco',
      refs: 'refs.p',
      instances: 'i.json',
      task: 'rec',
      store: 'images',
      excludeImages: 'no.txt',
    },
    vcr: {
      kind: 'vcr',
      file: 'v.jsonl',
      metadata: 'm',
      version: 'q-a',
      store: 'images',
      templates: { kind: 'file', file: 't.json' },
    },
    unused: { kind: 'llava', file: 'unused.json', store: 'images' },
  } as const;
  const mix = {
    kind: 'concat',
    parts: (['flickr', 'rec', 'vcr'] as const).map((set) => ({ kind: 'set', set }) as const),
  } as const;
  const stores: DataConfig['stores'] = { images: { kind: 'tar', files: ['s-{0..1}.tar'] } };
  assert.deepEqual(paths(withData({ sets, mix, stores })), [
    ...['train.txt', 'f/Sentences', 'f/Annotations', 's-0.tar', 's-1.tar'],
    ...['refs.p', 'i.json', 'no.txt', 'v.jsonl', 't.json', 'm'],
  ]);
});

test('a record that cannot be read is named; without one nothing is known', () => {
  assert.equal(recordedData(folder), undefined);
  writeFileSync(at('run.json'), '{"data": ');
  assert.throws(() => recordedData(folder), { code: 'file/bad-json', fix: /^Remove it: the run then goes on/ });
  for (const data of ['5', '"x"', '[1]', '{"a": null}', '{"a": {"bytes": "1"}}', '{"a": {"pictures": [1]}}']) {
    writeFileSync(at('run.json'), `{"data": ${data}}`);
    assert.throws(() => recordedData(folder), { code: 'train/run-json' }, data);
  }
  writeFileSync(at('run.json'), '{"seed": 1}');
  assert.equal(recordedData(folder), undefined);
});

test('a change is refused by name, with what may be done', () => {
  refuseChanges('out', []);
  assert.throws(
    () => refuseChanges('out', ['a.json has other content of the same size', 'b.json has 2 bytes in place of 3']),
    {
      code: 'train/data',
      message:
        'The data of the run in out changed: a.json has other content of the same size; b.json has 2 bytes in place of 3.',
      fix: /--resume --changed-data/,
    },
  );
});
