/** Hundreds of answers, conversations and stopped answers leave no tensor behind and no memory that grows. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { memoryStats } from '@commlm/torch';
import { type CommSession, loadModel, type RgbImage } from 'commlm';
import { makeTinyModel } from '../helpers/tiny-model.js';

const NUM_GENERATIONS = 400;
/** What the allocator may keep over so many answers; leaking the KV caches would be 20 times as much. */
const MAX_GROWTH_MIB = 12;

/** Resident bytes outside of the JavaScript heap, which V8 widens in steps of 16 MiB as it likes. */
function nativeBytes(): number {
  const { rss, heapTotal } = process.memoryUsage();
  return rss - heapTotal;
}

function picture(seed: number): RgbImage {
  const data = new Uint8Array(48 * 36 * 3);
  for (let i = 0; i < data.length; i++) data[i] = (i * (seed + 1)) & 255;
  return { width: 48, height: 36, data };
}

/** One of every kind of answer: single, batch, conversation, stopped. */
async function round(session: CommSession, i: number): Promise<void> {
  const image = picture(i % 50);
  await session.ask(image, 'What is this?', { maxNewTokens: 8 });
  await session.askBatch([
    { images: [image], question: 'Short?', maxNewTokens: 3 },
    { images: [image, picture(i % 7)], question: 'A longer question?', maxNewTokens: 6 },
  ]);
  using chat = session.chat();
  chat.addImage(image);
  for (const message of ['Hello?', 'And now?']) {
    for await (const _ of chat.say(message, { maxNewTokens: 4 }));
  }
  for await (const _ of session.askStream({ images: [image], question: 'Stop me.', maxNewTokens: 50 })) break;
}

test(`${NUM_GENERATIONS} rounds of generation keep tensors and memory flat`, async (context) => {
  const folder = makeTinyModel();
  const all = memoryStats().liveTensors;
  const session = await loadModel(folder, { imageCacheBytes: 16 * 2 ** 10 });
  for (let i = 0; i < NUM_GENERATIONS / 2; i++) await round(session, i);
  globalThis.gc?.();
  const [live, bytes] = [memoryStats().liveTensors, nativeBytes()];
  for (let i = 0; i < NUM_GENERATIONS / 2; i++) await round(session, i);
  globalThis.gc?.();
  const growth = (nativeBytes() - bytes) / 2 ** 20;
  context.diagnostic(`growth over the second half: ${growth.toFixed(1)} MiB`);
  assert.equal(memoryStats().liveTensors, live);
  assert.ok(growth < MAX_GROWTH_MIB, `grew by ${growth.toFixed(1)} MiB`);
  session.dispose();
  assert.equal(memoryStats().liveTensors, all);
  rmSync(folder, { recursive: true });
});
