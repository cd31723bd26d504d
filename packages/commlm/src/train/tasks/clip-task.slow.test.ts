/** Contrastive pre-training: the loss beside its definition, a batch learned by heart, captions of files. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { manualSeed, optim, randn, scope, type Tensor, tensor } from '@commlm/torch';
import { expectRounded } from '@commlm/torch/testing';
import sharp from 'sharp';
import type { ClipPretrainConfig } from '../../config/pretrain.js';
import { Tokenizer } from '../../text/tokenizer.js';
import { readCaptions } from './caption-file.js';
import { type ClipBatch, type ClipBatchOptions, createBatcher } from './clip-batches.js';
import { ClipTask, contrast, pairLoss } from './clip-task.js';
import { SMALL_LOOP, smallClip } from './pretrain-samples.fixture.js';

const root = mkdtempSync(join(tmpdir(), 'commlm-clip-'));
after(() => rmSync(root, { recursive: true, force: true }));
const tiny = fileURLToPath(new URL('../../../../../models/comm-tiny', import.meta.url));

const optionsOf = (
  { data, regionWeight, text }: ClipPretrainConfig,
  { batchSize }: { readonly batchSize: number },
): ClipBatchOptions => ({
  ...{ side: 32, patchSize: 8, batchSize, regions: regionWeight > 0, vocabSize: text.vocabSize, data },
});

test('logits are cosines over the temperature, and the loss is cross-entropy both ways', () => {
  scope(() => {
    const [a, b] = [randn([3, 4]), randn([3, 4])];
    const scale = Math.log(1 / 0.07);
    const rows = (x: Tensor): number[][] =>
      (x.tolist() as number[][]).map((row) => row.map((v) => v / Math.hypot(...row)));
    const cosines = rows(a).map((p) => rows(b).map((t) => p.reduce((sum, v, k) => sum + v * t[k]!, 0) / 0.07));
    const surprise = (scores: number[], right: number): number =>
      Math.log(scores.reduce((sum, x) => sum + Math.exp(x), 0)) - scores[right]!;
    const pictures = cosines.map((row, i) => surprise(row, i));
    const texts = cosines.map((_, i) =>
      surprise(
        cosines.map((row) => row[i]!),
        i,
      ),
    );
    const wanted = [...pictures, ...texts].reduce((x, y) => x + y, 0) / 6;
    const loss = pairLoss(contrast(a, b, tensor([scale])));
    // Cosines of 4 terms, divided by 0.07 before the softmax.
    expectRounded(loss.item(), wanted, { terms: 4, steps: 6, scale: 1 / 0.07 });
  });
});

test('a batch is learned by heart, and the temperature stays above a hundredth', async () => {
  const config = smallClip();
  const batch = (await (await createBatcher(optionsOf(config, SMALL_LOOP)))(0)) as ClipBatch;
  manualSeed(2);
  const task = scope(() => new ClipTask(config, SMALL_LOOP));
  const parameters = [...task.parts.values()].flatMap((module) => module.parameters());
  using adam = new optim.AdamW(parameters, { lr: 4e-3 });
  const losses: number[] = [];
  for (let step = 0; step < 60; step++) {
    scope(() => {
      const { loss, metrics } = task.loss(batch);
      loss.backward();
      losses.push(metrics['picture']!.item());
    });
    adam.step();
    adam.zeroGrad();
    task.afterStep();
  }
  assert.ok((losses.at(-1) as number) < 0.3 * losses[0]!, `${losses[0]} to ${losses.at(-1)}`);
  const scale = task.parts.get('pictureHead')!.namedParameters().get('logit_scale') as Tensor;
  scope(() => {
    scale.detach().fill_(9);
    task.afterStep();
    expectRounded(scale.item(), Math.log(100));
  });
});

async function picture(name: string, colour: { r: number; g: number; b: number }): Promise<void> {
  await sharp({ create: { width: 60, height: 40, channels: 3, background: colour } }).toFile(join(root, name));
}

test('captions of a file: LLaVA records and lines, a broken picture replaced with its caption', async () => {
  await picture('red.png', { r: 250, g: 0, b: 0 });
  await picture('blue.png', { r: 0, g: 0, b: 250 });
  writeFileSync(join(root, 'cut.png'), 'not a picture');
  const gpt = (value: string) => [
    { from: 'human', value: '<image>\nDescribe it.' },
    { from: 'gpt', value },
  ];
  const records = [
    { id: 'a', image: 'red.png', conversations: gpt('a red square') },
    { image: 'blue.png', caption: 'a blue square' },
    { image: 'cut.png', caption: 'broken' },
  ];
  const [array, lines] = [join(root, 'a.json'), join(root, 'a.jsonl')];
  writeFileSync(array, JSON.stringify(records));
  writeFileSync(lines, records.map((record) => JSON.stringify(record)).join('\n'));
  assert.deepEqual(await readCaptions(array), await readCaptions(lines));

  const config = smallClip({
    regionWeight: 0,
    text: { ...smallClip().text, vocabSize: 1088 },
    data: {
      ...{ kind: 'captions', file: array, pictures: { kind: 'folder', folder: root }, tokenizer: tiny },
      ...{ maxTokens: 8, cutArea: [0.9, 1], seed: 1, workers: 1, maxBroken: 1 },
    },
  });
  const loop = { batchSize: 6 };
  const batch = (await (await createBatcher(optionsOf(config, loop)))(0)) as ClipBatch;
  const tokenizer = await Tokenizer.load(tiny);
  assert.equal(batch.regions, null);
  assert.equal(batch.broken.length, 2);
  assert.match(batch.broken[0]!, /cut\.png/);
  const width = batch.captions.length / 6;
  for (let i = 0; i < 6; i++) {
    const length = Number(batch.captionLengths[i]);
    const ids = [...batch.captions.slice(i * width, i * width + length)].map(Number);
    assert.equal(ids.at(-1), tokenizer.eosId);
    assert.ok(length <= 8);
    const isRed = batch.pictures[i * 3072]! > 200;
    assert.equal(tokenizer.decode(ids.slice(0, -1)).trim(), isRed ? 'a red square' : 'a blue square');
  }
  scope(() => {
    const task = new ClipTask(config, loop);
    assert.deepEqual([...task.parts.keys()], ['encoder', 'text', 'pictureHead']);
    assert.ok(Number.isFinite(task.loss(batch).loss.item()));
  });
  const batches = new ClipTask(config, loop).openBatches(0);
  await batches.next();
  await batches.close();
  const strict = new ClipTask({ ...config, data: { ...config.data, maxBroken: 0 } as never }, loop).openBatches(0);
  await assert.rejects(strict.next(), /Broken pictures: 1, more than the 0/);
  await strict.close();
});

test('records without a picture or a caption are refused by place', async () => {
  const file = join(root, 'bad.jsonl');
  writeFileSync(file, '{"image": "a.png", "caption": "a"}\n{"image": "b.png"}\n');
  await assert.rejects(readCaptions(file), /bad\.jsonl:2: it has no caption/);
  writeFileSync(file, '[{"caption": "a"}]');
  await assert.rejects(readCaptions(file), /record 1: it names no image/);
  await assert.rejects(readCaptions(join(root, 'none.json')), /There is no file .*none\.json/);
  assert.throws(
    () =>
      new ClipTask(
        smallClip({
          data: {
            kind: 'captions',
            file,
            pictures: { kind: 'folder', folder: root },
            tokenizer: tiny,
            maxTokens: 8,
            cutArea: [1, 1],
            seed: 1,
            workers: 1,
            maxBroken: 0,
          },
        }),
        SMALL_LOOP,
      ),
    /no loss over regions/,
  );
});
