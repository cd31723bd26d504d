/** Homes that cannot be made end the set-up with one sentence, at once. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SetupError, setUp } from './index.js';

const cannotBeMade = (error: unknown): boolean =>
  error instanceof SetupError && /^The folder .* cannot be made \(\w+\)\.$/.test(error.message);

test('a home in a file system without folders', { skip: process.platform !== 'linux' }, async () => {
  await assert.rejects(setUp({ home: '/proc/commlm/home' }), cannotBeMade);
});

test('a home below a file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'commtorch-home-'));
  try {
    writeFileSync(join(folder, 'file'), '');
    await assert.rejects(setUp({ home: join(folder, 'file', 'home') }), cannotBeMade);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
