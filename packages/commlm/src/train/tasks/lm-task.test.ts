/** Next-token pre-training: the loss beside its definition, rows of the world and of files, and the exported folder. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { noGrad, randn, scope, type Tensor, tensor } from '@commlm/torch';
import { expectClose, expectRounded } from '@commlm/torch/testing';
import type { Llama } from '../../models/llama.js';
import { SMALL_LLAMA_ROUNDING } from '../../models/sample-configs.fixture.js';
import { Tokenizer } from '../../text/tokenizer.js';
import { loadHfLlama } from '../../weights/hf-folder.js';
import { createBatcher, type LmBatch } from './lm-batches.js';
import { LmTask, nextTokenLoss } from './lm-task.js';
import { SMALL_LOOP, smallLm } from './pretrain-samples.fixture.js';
import { openRows } from './token-rows.js';

const root = mkdtempSync(join(tmpdir(), 'commlm-lm-'));
after(() => rmSync(root, { recursive: true, force: true }));
const tiny = fileURLToPath(new URL('../../../../../models/comm-tiny', import.meta.url));
const tokenizer = await Tokenizer.load(tiny);

function file(name: string, text: string): string {
  const path = join(root, name);
  writeFileSync(path, text);
  return path;
}

test('the loss is the mean surprise at each token but the first', () => {
  scope(() => {
    const logits = randn([2, 4, 5]);
    const ids = [
      [1, 0, 4, 2],
      [3, 3, 1, 0],
    ];
    const terms = (logits.tolist() as number[][][]).flatMap((row, b) =>
      row.slice(0, -1).map((scores, t) => {
        const next = ids[b]?.[t + 1] as number;
        return Math.log(scores.reduce((sum, x) => sum + Math.exp(x), 0)) - scores[next]!;
      }),
    );
    const wanted = terms.reduce((a, b) => a + b, 0) / terms.length;
    const ids_BT = tensor(BigInt64Array.from(ids.flat(), BigInt), { shape: [2, 4] });
    expectRounded(nextTokenLoss(logits, ids_BT).item(), wanted, { terms: 6, steps: 4 });
  });
});

test('a row of the world holds conversations and captions, each with its end, the same at each asking', async () => {
  const batcher = await createBatcher({ ...smallLm(tiny, 1088, { rowLength: 200 }), batchSize: 2, split: 'train' });
  const { ids } = (await batcher(1)) as LmBatch;
  assert.equal(ids.length, 400);
  const text = tokenizer.decode([...ids.slice(0, 200)].map(Number));
  assert.match(text, /USER: .* ASSISTANT: /);
  assert.equal(Number(ids[0]), tokenizer.bosId);
  assert.ok(ids.includes(BigInt(tokenizer.eosId as number)));
  await batcher(0);
  assert.deepEqual(((await batcher(1)) as LmBatch).ids, ids);
  assert.notDeepEqual(ids.slice(0, 200), ids.slice(200));
});

test('files become one row of documents, each epoch in another order and nothing twice', async () => {
  const texts = ['A red circle and a dog.\nIt is big.', 'Two cats.', 'The sky.'];
  const files = [
    file('a.txt', texts[0]!),
    file(
      'b.jsonl',
      texts
        .slice(1)
        .map((text) => JSON.stringify({ text }))
        .join('\n'),
    ),
  ];
  const rows = await openRows({ kind: 'texts', files, seed: 1 }, tokenizer, 4, 'train');
  const all = texts.flatMap((text) => [tokenizer.bosId!, ...tokenizer.encode(text), tokenizer.eosId!]);
  const numRows = Math.floor(all.length / 4);
  const wanted = Array.from({ length: numRows }, (_, r) => all.slice(4 * r, 4 * r + 4).join());
  const epoch = (e: number): string[] => Array.from({ length: numRows }, (_, r) => [...rows(e * numRows + r)].join());
  assert.deepEqual(epoch(0).sort(), [...wanted].sort());
  assert.deepEqual(epoch(1).sort(), [...wanted].sort());
  assert.notDeepEqual(epoch(0), epoch(1));
});

test('files that are missing, misshaped or too short are refused by name', async () => {
  const open = (path: string, rowLength = 4) =>
    openRows({ kind: 'texts', files: [path], seed: 1 }, tokenizer, rowLength, 'train');
  await assert.rejects(open(join(root, 'none.txt')), /There is no file .*none\.txt/);
  await assert.rejects(open(file('bad.jsonl', '{"text": "a"}\n{"body": "b"}')), /bad\.jsonl:2: it has no "text"/);
  await assert.rejects(open(file('cut.jsonl', '{"text": ')), /cut\.jsonl:1: this is not JSON/);
  await assert.rejects(open(file('short.txt', 'dog'), 64), /too few for one row of 64/);
});

test('the exported folder is read back equal, as a Llama of transformers', () => {
  const folder = join(root, 'export');
  scope(() =>
    noGrad(() => {
      const task = new LmTask(smallLm(tiny, 1088), SMALL_LOOP);
      task.export(folder);
      const own = task.parts.get('languageModel') as Llama;
      const read = loadHfLlama(folder);
      assert.deepEqual(read.config, own.config);
      const ids = tensor(BigInt64Array.of(1n, 7n, 300n, 12n), { shape: [1, 4] });
      const state = read.stateDict();
      for (const [key, value] of own.stateDict()) {
        expectClose((state.get(key) as Tensor).detach(), value.detach(), { rtol: 0, atol: 0 });
      }
      expectRounded(read.forward(ids), own.forward(ids), SMALL_LLAMA_ROUNDING);
    }),
  );
});

test('unseen texts are measured, and what cannot work is refused at the start', async () => {
  const held = { data: { kind: 'world', seed: 9 }, batches: 2 } as const;
  const task = new LmTask(smallLm(tiny, 1088, { held }), { batchSize: 2 });
  const { loss, perplexity } = (await task.evaluate!(0)) as { loss: number; perplexity: number };
  assert.ok(Math.abs(loss - Math.log(1088)) < 0.3, `${loss} before training`);
  assert.equal(perplexity, Math.exp(loss));
  const { model } = smallLm(tiny, 1088);
  assert.throws(() => new LmTask(smallLm(tiny, 1088, { rowLength: 500 }), SMALL_LOOP), /at most 128/);
  assert.throws(
    () => new LmTask(smallLm(tiny, 1088, { model: { ...model, qkNorm: true } }), SMALL_LOOP),
    /cannot say qkNorm/,
  );
});
