/** A folder is there whole or not at all, whatever stops its writing. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { refuseFilled, writeFolder, writeFolderAsync } from './whole-folder.js';

const root = mkdtempSync(join(tmpdir(), 'whole-folder-'));
after(() => rmSync(root, { recursive: true }));

const fresh = (): string => mkdtempSync(join(root, 'x-'));
const fill = (content: string) => (folder: string) => {
  writeFileSync(join(folder, 'config.json'), content);
  writeFileSync(join(folder, 'weights'), content);
};
const read = (folder: string): string[] => readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));

test('a new folder, an empty one, a link to one, and one that is replaced', () => {
  const parent = fresh();
  const out = join(parent, 'deep', 'out');
  writeFolder(out, fill('a'), { replace: true });
  assert.deepEqual(read(out), ['a', 'a']);
  writeFolder(out, (part) => writeFileSync(join(part, 'other'), 'b'), { replace: true });
  assert.deepEqual(readdirSync(out), ['other']);
  assert.deepEqual(readdirSync(join(parent, 'deep')), ['out']);
  const empty = fresh();
  symlinkSync(empty, join(parent, 'link'));
  writeFolder(join(parent, 'link'), fill('c'), { replace: true });
  assert.deepEqual(read(empty), ['c', 'c']);
  assert.deepEqual(readdirSync(parent).sort(), ['deep', 'link']);
});

test('a failure leaves what was there', async () => {
  const parent = fresh();
  const [absent, empty, full] = ['absent', 'empty', 'full'].map((name) => join(parent, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(empty);
  writeFolder(full, fill('old'), { replace: true });
  const fault = new Error('in the middle');
  for (const out of [absent, empty, full]) {
    const fail = (part: string): never => {
      fill('new')(part);
      throw fault;
    };
    assert.throws(() => writeFolder(out, fail, { replace: true }), fault);
    await assert.rejects(
      writeFolderAsync(out, async (part) => fail(part), { replace: true }),
      fault,
    );
  }
  assert.ok(!existsSync(absent));
  assert.deepEqual([readdirSync(empty), read(full)], [[], ['old', 'old']]);
  assert.deepEqual(readdirSync(parent).sort(), ['empty', 'full']);
});

test('errors of the disk name the folder that the user gave', () => {
  const out = join(fresh(), 'out');
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC', syscall: 'write' });
  assert.throws(
    () =>
      writeFolder(
        out,
        () => {
          throw full;
        },
        { replace: true },
      ),
    { code: 'file/output', message: `Cannot write ${out}: the disk is full.` },
  );
});

test('what a killed process left is removed by the next, and one at a time writes', async () => {
  for (const out of [join(fresh(), 'out'), fresh()]) {
    const child = spawn(
      process.execPath,
      [
        '--input-type=module',
        '--eval',
        `
      const { writeFolder } = await import(${JSON.stringify(new URL('./whole-folder.js', import.meta.url).href)});
      const { writeFileSync } = await import('node:fs');
      writeFolder(process.argv[1], (part) => {
        writeFileSync(part + '/half', '');
        console.log('written');
        for (;;);
      }, { replace: true });`,
        out,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await new Promise((resolve) => child.stdout.once('data', resolve));
    assert.throws(() => writeFolder(out, fill('x'), { replace: true }), { code: 'file/busy' });
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    await sleep(10);
    refuseFilled(out);
    writeFolder(out, fill('new'), { replace: true });
    assert.deepEqual(readdirSync(out).sort(), ['config.json', 'weights']);
    assert.throws(() => refuseFilled(out), { code: 'weights/exists' });
  }
});

test('what appeared at a new place meanwhile stays', async () => {
  const kept = (out: string): void => assert.deepEqual(read(out), ['theirs', 'theirs']);
  for (const isThere of [true, false]) {
    for (const early of [true, false]) {
      const out = isThere ? fresh() : join(fresh(), 'out');
      const theirs = (): void => {
        mkdirSync(out, { recursive: true });
        fill('theirs')(out);
      };
      if (early) theirs();
      const write = (part: string): void => {
        fill('ours')(part);
        theirs();
      };
      assert.throws(() => writeFolder(out, write, { replace: false }), { code: 'weights/exists' });
      kept(out);
      await assert.rejects(
        writeFolderAsync(out, async (part) => write(part), { replace: false }),
        { code: 'weights/exists' },
      );
      kept(out);
    }
  }
});
