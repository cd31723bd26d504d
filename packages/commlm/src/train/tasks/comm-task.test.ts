/** Training on the world: the model of a folder, rows of a batch, and labels. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Comm } from '../../models/comm.js';
import { smallComm } from '../../models/sample-configs.fixture.js';
import { renderConversation } from '../../text/conversation.js';
import { Tokenizer } from '../../text/tokenizer.js';
import { readCommConfig, saveCommFolder } from '../../weights/comm-folder.js';
import { loadRecipe } from '../recipe.js';
import { createBatcher, WATCHED } from './comm-batches.js';
import { type CommRawBatch, CommTask } from './comm-task.js';

test('a stage takes the model of its folder and clears the mark of what it trains, and of nothing else', async () => {
  const root = mkdtempSync(join(tmpdir(), 'comm-task-'));
  try {
    const config = smallComm({ untrained: ['projector', 'vision.encoders.0.merge', 'vision.encoders.1.vit'] });
    const model = new Comm(config);
    saveCommFolder(join(root, 'from'), model);
    model.dispose();
    const stage = await loadRecipe('tiny-stage1');
    assert.ok(stage.kind === 'comm');
    const task = CommTask.open({ ...stage.comm, from: join(root, 'from'), tokenizer: root }, stage.loop);
    task.export(join(root, 'to'));
    const trained = readCommConfig(join(root, 'to'));
    assert.deepEqual(trained.untrained, ['vision.encoders.1.vit']);
    assert.deepEqual({ ...trained, untrained: config.untrained }, config);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test('rows about two pictures stand behind the others, and each question is the conversation of that question alone', async () => {
  const stage = await loadRecipe('tiny-stage2');
  assert.ok(stage.kind === 'comm');
  const tokenizerFolder = fileURLToPath(new URL('../../../../../models/comm-tiny', import.meta.url));
  const options = { ...stage.comm, batchSize: 3, tokenizer: tokenizerFolder, side: 128, tokensPerImage: 64 };
  const batch = (await createBatcher({ ...options, mix: { ...stage.comm.mix, pairRows: 2 } }))(
    0,
  ) as unknown as CommRawBatch;
  assert.equal(batch.numRows, 5);
  assert.deepEqual([...batch.shown.subarray(0, 3)], [0n, 1n, 2n]);
  assert.equal(batch.shown.length, 3 + 2 * 2);
  for (const pair of [batch.shown.subarray(3, 5), batch.shown.subarray(5, 7)]) assert.notEqual(pair[0], pair[1]);

  const tokenizer = await Tokenizer.load(tokenizerFolder);
  const row = <T>(from: { subarray(a: number, b: number): Iterable<T> }): T[] => [
    ...from.subarray(3 * batch.numTokens, 4 * batch.numTokens),
  ];
  const segments = row(batch.segments);
  const ids = row(batch.ids).map(Number);
  const own = ids.filter((_, t) => segments[t] === 0 || segments[t] === 1);
  const text = tokenizer.decode(own);
  const [, question = '', answer = ''] = /USER: +(.*) ASSISTANT: (.*)$/.exec(text) ?? [];
  assert.ok(question !== '' && answer !== '', text);
  const turn = { question: [{ picture: true }, ' ', { picture: true }, ` ${question}`] as const, answer };
  assert.deepEqual(own, renderConversation([turn], { tokenizer, imageTokens: [64, 64] }).ids);
});

test('an edge asked for alone has two digits, each labelled where the next token stands', async () => {
  const stage = await loadRecipe('tiny-stage2');
  assert.ok(stage.kind === 'comm');
  const tokenizerFolder = fileURLToPath(new URL('../../../../../models/comm-tiny', import.meta.url));
  const options = { ...stage.comm, batchSize: 4, tokenizer: tokenizerFolder, side: 128, tokensPerImage: 64 };
  const batch = (await createBatcher(options))(0) as unknown as CommRawBatch;
  const tokenizer = await Tokenizer.load(tokenizerFolder);
  const word = (at: number): string => tokenizer.decode([Number(batch.ids[at])]).trim();
  const label = (at: number): string => tokenizer.decode([Number(batch.labels[at])]);
  const asked = [...batch.watched.keys()].filter((at) => WATCHED[batch.watched[at]! - 1] === 'edge_probe1');
  assert.ok(asked.length > 0);
  for (const at of asked) {
    assert.match(word(at - 2), /^(left|top|right|bottom)$/);
    assert.equal(batch.ids[at], batch.labels[at], 'the first digit stands where it is asked for');
    assert.match(label(at), /^\d$/);
    assert.match(label(at + 1), /^\d$/);
    assert.equal(WATCHED[batch.watched[at + 1]! - 1], 'edge_probe2');
  }
  const task = CommTask.outline(stage.comm, { batchSize: 4 });
  const { tokens, samples } = task.describe(batch);
  assert.deepEqual(samples, ['scene 0', 'scene 1', 'scene 2', 'scene 3']);
  assert.equal(tokens, batch.segments.filter((segment) => segment >= 0).length);
});
