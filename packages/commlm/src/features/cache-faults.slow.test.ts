/** What the feature cache does when something goes wrong: damage, a full disk, several writers, a run that is killed. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { scope, tensor } from '@commlm/torch';
import { maxRelDiff } from '@commlm/torch/testing';
import { sampleEncoder, samplePictures, wantedOf } from './cache.fixture.js';
import { FeatureCache } from './cache.js';
import { RowChecks, saltOf } from './row-checks.js';

const root = mkdtempSync(join(tmpdir(), 'feature-faults-'));
after(() => rmSync(root, { recursive: true, force: true }));
const LEVELS = [1, 2, 3];
const NUMBERS = [0, 1, 2, 3];

/** A cache with one shard of four pictures at three levels. */
function filled(): { readonly folder: string; readonly shard: string; readonly set: string } {
  const folder = mkdtempSync(join(root, 'cache-'));
  using cache = FeatureCache.open(sampleEncoder(), { folder, maxBytes: 1e8 });
  scope(() => void cache.encode(samplePictures(NUMBERS), LEVELS));
  cache.flush();
  const set = join(folder, readdirSync(folder)[0]!);
  return { folder, set, shard: join(set, shardsIn(set)[0]!) };
}

const shardsIn = (set: string): string[] => readdirSync(set).filter((name) => /^[0-9a-f]+\.safetensors$/.test(name));

/** Reads everything; fails where a value is not what the encoder gives. */
function readAll(folder: string, numbers: readonly number[] = NUMBERS) {
  const lines: string[] = [];
  const encoder = sampleEncoder();
  using cache = FeatureCache.open(encoder, { folder, maxBytes: 1e8, log: (line) => lines.push(line) });
  scope(() => {
    const wanted = wantedOf(encoder, numbers, LEVELS);
    for (const [i, number] of numbers.entries()) {
      const maps = cache.encode(samplePictures([number]), LEVELS);
      for (const [l, map] of maps.entries()) {
        // The wanted ones went through the encoder together, these alone or from the disk.
        assert.ok(maxRelDiff(map, wanted[l]!.narrow(0, i, 1)) < 1e-5, `picture ${number}, level number ${l}`);
      }
    }
  });
  return { lines, ...cache.stats };
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at]! ^= 1;
  writeFileSync(path, bytes);
}

test('a checksum sees any one bit, an exchange of rows or words, and a row in the place of another', () => {
  scope(() => {
    using checks = new RowChecks(64);
    const values = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i));
    const sumsOf = (numbers: Float32Array): bigint[] => checks.of(tensor(numbers, { shape: [2, 4, 4] }), [1n, 1n]);
    const [first, second] = sumsOf(values);
    assert.notEqual(first, second);
    const bytes = new Uint8Array(values.buffer);
    for (let bit = 0; bit < 64 * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      const [changed, same] = sumsOf(values);
      assert.notEqual(changed, first, `bit ${bit}`);
      assert.equal(same, second);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
    const swapped = Float32Array.from(values);
    swapped.set(values.subarray(0, 2), 2);
    swapped.set(values.subarray(2, 4), 0);
    assert.notEqual(sumsOf(swapped)[0], first);
  });
  const picture = 'a'.repeat(64);
  const salts = [saltOf(picture, '24'), saltOf(picture, '24n'), saltOf(picture, '2'), saltOf('b'.repeat(64), '24')];
  assert.equal(new Set(salts).size, salts.length);
});

test('a flipped bit in any part of a shard: found, said, computed again, and right from then on', () => {
  const probe = readFileSync(filled().shard);
  const headerEnd = 8 + Number(probe.readBigUInt64LE());
  const checksEnd = headerEnd + NUMBERS.length * LEVELS.length * 8;
  const places = {
    length: 0,
    header: 8 + probe.subarray(8).indexOf('levels') + 9,
    key: 8 + probe.subarray(8).lastIndexOf('"dtype"') - 10,
    check: headerEnd + 9,
    'first value': checksEnd,
    'last value': probe.length - 1,
  };
  for (const [what, at] of Object.entries(places)) {
    const { folder, shard, set } = filled();
    flip(shard, at);
    const { misses, damaged, lines } = readAll(folder);
    assert.ok(misses >= 1, what);
    if (what.includes('value') || what === 'check') {
      assert.deepEqual([misses, damaged, lines.length], [1, 1, 1], `${what}: ${lines}`);
      assert.match(lines[0]!, /level [123] of a picture is damaged in .*computed again/);
    }
    // Written again, beside what is damaged; shards are told apart by time, which is too coarse for a test.
    utimesSync(shardsIn(set).includes(shard.slice(set.length + 1)) ? shard : set, 1, 1);
    const after = readAll(folder);
    assert.deepEqual([after.misses, after.damaged, after.lines], [0, 0, []], `${what}, afterwards`);
  }
});

test('a truncated or empty shard is set aside and said; nothing of it is used', () => {
  for (const size of [0, 5, 200, 4000]) {
    const { folder, shard, set } = filled();
    truncateSync(shard, size);
    const { misses, lines } = readAll(folder);
    assert.equal(misses, NUMBERS.length);
    assert.match(lines.join('\n'), /cannot be used .*computed again/);
    assert.ok(readdirSync(set).some((name) => name.endsWith('.damaged')));
    assert.deepEqual(readAll(folder).misses, 0);
  }
});

test('a file of another encoder in the folder, half a file and a stranger are no rows', () => {
  const { folder, set } = filled();
  writeFileSync(join(set, '.half.safetensors.abc.part'), 'half');
  writeFileSync(join(set, '.old.safetensors.abc.part'), 'half');
  utimesSync(join(set, '.old.safetensors.abc.part'), 1, 1);
  writeFileSync(join(set, 'notes.txt'), 'mine');
  const other = mkdtempSync(join(root, 'other-'));
  {
    using cache = FeatureCache.open(sampleEncoder('bf16'), { folder: other, maxBytes: 1e8 });
    scope(() => void cache.encode(samplePictures([9]), LEVELS));
  }
  const theirs = join(other, readdirSync(other)[0]!);
  writeFileSync(join(set, 'ffff.safetensors'), readFileSync(join(theirs, shardsIn(theirs)[0]!)));
  const { misses, lines } = readAll(folder);
  assert.equal(misses, 0);
  assert.match(lines.join('\n'), /ffff\.safetensors cannot be used .*bf16/);
  const left = readdirSync(set);
  assert.ok(left.includes('notes.txt') && left.includes('.half.safetensors.abc.part'));
  assert.ok(!left.includes('.old.safetensors.abc.part'), 'what a killed process left an hour ago and longer goes');
});

test('a disk that takes no more is said once, and the run goes on with right values', () => {
  const folder = mkdtempSync(join(root, 'gone-'));
  const lines: string[] = [];
  const encoder = sampleEncoder();
  const cache = FeatureCache.open(encoder, {
    folder,
    maxBytes: 1e8,
    shardBytes: 1,
    log: (line) => lines.push(line),
  });
  // The folder of the encoder is gone: nothing can be written to it, whoever runs the test.
  rmSync(join(folder, readdirSync(folder)[0]!), { recursive: true });
  scope(() => {
    for (const number of NUMBERS) {
      const [map] = cache.encode(samplePictures([number]), [2]);
      assert.equal(maxRelDiff(map!, wantedOf(encoder, [number], [2])[0]!), 0);
    }
  });
  cache.close();
  assert.equal(lines.length, 1, lines.join('\n'));
  assert.match(lines[0]!, /could not be written to: its folder does not exist/);
});

test('a cache takes in what another one writes, and writes nothing twice', () => {
  const folder = mkdtempSync(join(root, 'pair-'));
  const [first, second] = [sampleEncoder(), sampleEncoder()].map((encoder) =>
    FeatureCache.open(encoder, { folder, maxBytes: 1e8 }),
  ) as [FeatureCache, FeatureCache];
  scope(() => {
    first.encode(samplePictures([0, 1]), LEVELS);
    first.flush();
    const asked: number[] = [];
    second.encode(samplePictures([0, 1], asked), LEVELS);
    assert.deepEqual([asked, second.stats.hits], [[], 2]);
    // Both compute the same before either has written it.
    first.encode(samplePictures([2]), LEVELS);
    second.encode(samplePictures([2, 3], asked), LEVELS);
    assert.deepEqual(asked, [2, 3]);
  });
  first.close();
  const { bytes } = first.stats;
  second.close();
  const added = second.stats.bytes - bytes;
  const row = 16 * 24 * 4;
  assert.ok(added >= LEVELS.length * row && added < 2 * LEVELS.length * row, `${added}: picture 3 alone`);
});

/** A process that fills a cache with pictures. */
function writer(folder: string, first: number, last: number): ChildProcess {
  const fixture = new URL('./cache.fixture.js', import.meta.url).href;
  const program = `import { fill } from ${JSON.stringify(fixture)}; fill(process.argv[1], ${first}, ${last});`;
  return spawn(process.execPath, ['--input-type=module', '-e', program, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

test('two processes fill one folder at once: every row is there and right', async () => {
  const folder = mkdtempSync(join(root, 'shared-'));
  const both = [writer(folder, 0, 29), writer(folder, 10, 39)];
  for (const child of both) child.stdout!.resume();
  const codes = await Promise.all(both.map(async (child) => (await once(child, 'exit'))[0] as number));
  assert.deepEqual(codes, [0, 0]);
  const numbers = Array.from({ length: 40 }, (_, i) => i);
  const { hits, misses, damaged, lines } = readAll(folder, numbers);
  assert.deepEqual([hits, misses, damaged, lines], [40, 0, 0, []]);
  const set = join(folder, readdirSync(folder)[0]!);
  assert.ok(!readdirSync(set).some((name) => name.endsWith('.part')));
});

test('killed in the middle, it leaves a cache that is read and goes on', async () => {
  const folder = mkdtempSync(join(root, 'killed-'));
  const child = writer(folder, 0, 2000);
  const ended = once(child, 'exit');
  let said = 0;
  for await (const line of createInterface(child.stdout!)) {
    said = Number(line);
    if (said === 12) child.kill('SIGKILL');
  }
  await ended;
  assert.ok(said >= 12 && said < 2000);
  // A picture is a shard here, written before it was said.
  const numbers = Array.from({ length: 15 }, (_, i) => i);
  const { hits, misses, damaged, lines } = readAll(folder, numbers);
  assert.ok(hits >= 13 && hits + misses === 15, `${hits} and ${misses}`);
  assert.deepEqual([damaged, lines], [0, []]);
  assert.equal(readAll(folder, numbers).misses, 0);
});
