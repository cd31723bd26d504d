/** Batches made by several threads: their order, their errors, and their end. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { BatchPool } from './batch-pool.js';

const folder = mkdtempSync(join(tmpdir(), 'commlm-pool-'));
after(() => rmSync(folder, { recursive: true }));

/** A worker module: batches that take a random while, and fail as told. */
function moduleOf(body: string): URL {
  const path = join(folder, `${Math.random().toString(36).slice(2)}.mjs`);
  writeFileSync(path, body);
  return pathToFileURL(path);
}
const errors = JSON.stringify(new URL('../../config/errors.js', import.meta.url).href);
const batches = moduleOf(`
  import { CommError } from ${errors};
  export const createBatcher = async ({ failAt }) => async (index) => {
    await new Promise((resolve) => setTimeout(resolve, (index * 7) % 5));
    if (index === failAt) throw new CommError('set.jsonl:7: no picture.', { code: 'data/picture', fix: 'Get it.' });
    return { index, lists: [Uint8Array.of(index, index)] };
  };`);

interface Numbered extends Record<string, unknown> {
  readonly index: number;
  readonly lists: readonly Uint8Array[];
}

test('batches of several asynchronous threads come in order, from any start on', async () => {
  const pool = new BatchPool<Numbered>(batches, {}, { start: 5, workers: 3, ahead: 6 });
  try {
    for (let index = 5; index < 30; index++) {
      const batch = await pool.next();
      assert.equal(batch.index, index);
      assert.deepEqual([...batch.lists[0]!], [index, index]);
    }
  } finally {
    await pool.close();
  }
});

test('an error of a batch comes at its turn, whole', async () => {
  const pool = new BatchPool<Numbered>(batches, { failAt: 3 }, { workers: 2, ahead: 8 });
  try {
    for (let index = 0; index < 3; index++) assert.equal((await pool.next()).index, index);
    await assert.rejects(pool.next(), { code: 'data/picture', message: 'set.jsonl:7: no picture.', fix: 'Get it.' });
  } finally {
    await pool.close();
  }
});

test('a thread that cannot start says why', async () => {
  const broken = moduleOf(`export const createBatcher = async () => { throw new Error('no such file'); };`);
  const pool = new BatchPool<Numbered>(broken, {});
  try {
    await assert.rejects(pool.next(), { message: 'no such file' });
  } finally {
    await pool.close();
  }
});

test('a batch that cannot be read is an error, not an endless wait', async () => {
  const shared = moduleOf(
    `const bytes = new Uint8Array(4); export const createBatcher = async () => () => ({ bytes });`,
  );
  const pool = new BatchPool<{ readonly bytes: Uint8Array }>(shared, {});
  try {
    await pool.next();
    await assert.rejects(pool.next());
  } finally {
    await pool.close();
  }
});
