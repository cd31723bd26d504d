/** The command around parity with real weights, without a network: downloads, the cache, the Python, wrong usage. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CommError } from 'commlm';
import { make } from './cache.js';
import { fetchPackage, type Package } from './packages.js';
import { largest, roundedRow } from './rows.js';

const CONTENT = 'the wheel\n';

const wanted: Package = {
  client: 'pip',
  name: 'pretended',
  version: '1.2',
  file: 'pretended-1.2-py3-none-any.whl',
  bytes: CONTENT.length,
  sha256: createHash('sha256').update(CONTENT).digest('hex'),
};

let cache = '';

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'commlm-real-'));
});
afterEach(() => rmSync(cache, { recursive: true }));

const posix = { skip: process.platform === 'win32' ? 'the pretended programs are shell scripts' : false };

/** A program of a few shell lines. */
function script(name: string, lines: string): string {
  const path = join(cache, name);
  writeFileSync(path, `#!/bin/sh\n${lines}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** A pip that notes its calls and "downloads" a text into its working folder. */
const pretendedPip = (content: string): string =>
  script('python', `echo "$@" >> "${join(cache, 'calls')}"\nprintf '${content}' > ${wanted.file}`);

const numCalls = (): number =>
  existsSync(join(cache, 'calls')) ? readFileSync(join(cache, 'calls'), 'utf8').trim().split('\n').length : 0;

const leftovers = (): string[] => readdirSync(cache).filter((name) => name.startsWith('.partial'));

describe('a package', posix, () => {
  test('is fetched once, and again only when its file is damaged', async () => {
    const python = pretendedPip('the wheel\\n');
    const path = await fetchPackage(wanted, python, cache);
    assert.equal(readFileSync(path, 'utf8'), CONTENT);
    await fetchPackage(wanted, python, cache);
    assert.equal(numCalls(), 1);
    writeFileSync(path, 'the whee');
    await fetchPackage(wanted, python, cache);
    assert.equal(numCalls(), 2);
    assert.equal(readFileSync(path, 'utf8'), CONTENT);
    assert.deepEqual(leftovers(), []);
  });

  test('with another hash is refused and not kept', async () => {
    const python = pretendedPip('another wheel');
    await assert.rejects(fetchPackage(wanted, python, cache), (error) => {
      assert.ok(error instanceof CommError);
      assert.match(error.message, /^pretended-1\.2-py3-none-any\.whl came with SHA-256 [0-9a-f]{64}, but it has to be/);
      return true;
    });
    assert.ok(!existsSync(join(cache, wanted.file)));
    assert.deepEqual(leftovers(), []);
  });

  test('whose client fails is named with what to do, and what a killed run left is cleared away', async () => {
    mkdirSync(join(cache, '.partial-999999999'));
    const python = script('python', 'exit 7');
    await assert.rejects(fetchPackage(wanted, python, cache), (error) => {
      assert.ok(error instanceof CommError);
      assert.match(error.message, /pip.*ended with exit code 7/);
      assert.match(error.fix ?? '', /Check the network/);
      return true;
    });
    assert.deepEqual(leftovers(), []);
  });
});

describe('a folder of the cache', () => {
  let writes = 0;
  const recipe = (from: string, content = 'x') => ({
    name: 'made',
    from: [from],
    write: async (folder: string) => {
      writes++;
      mkdirSync(join(folder, 'inner'));
      writeFileSync(join(folder, 'inner', 'file'), content);
    },
  });
  beforeEach(() => {
    writes = 0;
  });

  test('is made once, and again for another origin and when a file is damaged', async () => {
    const first = await make(recipe('a'), cache);
    assert.deepEqual(await make(recipe('a'), cache), first);
    assert.equal(writes, 1);
    const other = await make(recipe('b', 'y'), cache);
    assert.equal(writes, 2);
    assert.notEqual(other.hash, first.hash);
    writeFileSync(join(other.folder, 'inner', 'file'), 'z');
    await make(recipe('b', 'y'), cache);
    assert.equal(writes, 3);
    rmSync(join(other.folder, 'inner', 'file'));
    await make(recipe('b', 'y'), cache);
    assert.equal(writes, 4);
    assert.equal(readFileSync(join(other.folder, 'inner', 'file'), 'utf8'), 'y');
  });

  test('that fails leaves the last good one and nothing half-made', async () => {
    const { folder } = await make(recipe('a'), cache);
    const failing = {
      name: 'made',
      from: ['b'],
      write: async (partial: string) => {
        writeFileSync(join(partial, 'half'), '');
        throw new Error('stopped');
      },
    };
    await assert.rejects(make(failing, cache), /stopped/);
    assert.equal(readFileSync(join(folder, 'inner', 'file'), 'utf8'), 'x');
    assert.deepEqual(leftovers(), []);
  });
});

describe('the command', posix, () => {
  const main = fileURLToPath(new URL('main.js', import.meta.url));
  const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', env: { ...process.env, ...env } });

  test('refuses what it does not know', () => {
    for (const args of [['--only', 'vision'], ['--unknown'], ['extra']]) {
      const { status, stderr, stdout } = run(args);
      assert.equal(status, 2, stderr);
      assert.match(stderr, /--help lists what there is\.\n$/);
      assert.equal(stderr.trim().split('\n').length, 2, stderr);
      assert.equal(stdout, '');
    }
  });

  test('says what the Python lacks, and that a program is none', () => {
    const python = script('python', 'echo 3 12; echo gguf 0.19.0; echo onnx 1.23.2');
    const lacking = run([], { PYTHON: python });
    assert.equal(lacking.status, 1);
    assert.match(lacking.stderr, /^The Python that PYTHON names \(.*\) lacks gguf 0\.19\.0, onnx 1\.23\.2\.\n/);
    const old = run([], { PYTHON: script('python', 'echo 3 9') });
    assert.match(old.stderr, /is no Python 3\.11 or newer/);
    assert.match(run([], { PYTHON: join(cache, 'absent') }).stderr, /is no Python 3\.11 or newer/);
  });
});

test('a row that is not a number is out of bounds', () => {
  const named = { model: 'm', format: 'bf16', quantity: 'q' };
  assert.equal(roundedRow(named, largest([1, Number.NaN]), 1).ok, false);
  assert.equal(roundedRow(named, 2, 1).ok, true);
  assert.equal(roundedRow(named, 2.01, 1).ok, false);
});
