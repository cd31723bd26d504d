/** Checkpoints that cannot be read are not damaged ones, and nothing of a run is ever deleted or renamed without a reason. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { scope, tensor } from '@commlm/torch';
import { type CheckpointFacts, readCheckpoint, saveCheckpoint, takeUpCheckpoint } from './checkpoint.js';

const root = mkdtempSync(join(tmpdir(), 'commlm-checkpoint-'));
chmodSync(root, 0o755);
after(() => rmSync(root, { recursive: true }));

const factsOf = (step: number): CheckpointFacts => ({
  ...{ step, samples: 8 * step, nextBatch: step, recipe: 'r', pending: { loss: { sum: Number.NaN, count: 1 } } },
  ...{ skipped: { total: 0, inARow: 0 }, best: null, evalDue: false },
});

const save = (run: string, step: number, keepLast = 3): string =>
  scope(() => saveCheckpoint(run, factsOf(step), [['model.w', tensor([step, step])]], keepLast));

/** A run with checkpoints of the steps 1 and 2. */
function newRun(): string {
  const run = mkdtempSync(join(root, 'run-'));
  chmodSync(run, 0o777);
  for (const step of [1, 2]) save(run, step);
  return run;
}

const names = (run: string): string[] => readdirSync(run).sort();
const stepFound = (found: ReturnType<typeof takeUpCheckpoint>): number | undefined => {
  for (const each of found?.tensors.values() ?? []) each.dispose();
  return found?.facts.step;
};
const takeUp = (run: string): number | undefined => stepFound(takeUpCheckpoint(run, () => {}));

test('what cannot be read is an error for whoever goes on or exports, and stays as it is', () => {
  const posix = process.platform !== 'win32';
  const spoil: readonly ((file: string) => void)[] = [
    (file) => mkdirSync(file),
    ...(posix ? [(file: string) => symlinkSync(file, file)] : []),
    ...(posix ? [(file: string) => void spawnSync('mkfifo', [file])] : []),
  ];
  for (const name of ['facts.json', 'state.safetensors']) {
    for (const put of spoil) {
      const run = newRun();
      const file = join(run, 'checkpoint-2', name);
      rmSync(file);
      put(file);
      const unreadable = { code: 'train/unreadable', message: /may be sound, so nothing was changed/ };
      assert.throws(() => takeUp(run), unreadable);
      assert.throws(() => readCheckpoint(run, () => {}), unreadable);
      assert.deepEqual(names(run), ['checkpoint-1', 'checkpoint-2']);
      // As the message says.
      renameSync(join(run, 'checkpoint-2'), join(root, `moved-${names(root).length}`));
      assert.equal(takeUp(run), 1);
    }
  }
});

/** Runs code in another process, as another user where this one may read everything. */
function elsewhere(code: string, limits = 'true') {
  const script = `
    const { takeUpCheckpoint } = await import(${JSON.stringify(new URL('./checkpoint.js', import.meta.url).href)});
    const { closeSync, openSync } = await import('node:fs');
    console.log('loaded');
    ${code}`;
  const other = process.getuid?.() === 0 && limits === 'true' ? { uid: 65534, gid: 65534 } : {};
  return spawnSync('sh', ['-c', `${limits} && exec "$0" --input-type=module --eval "$1"`, process.execPath, script], {
    ...{ encoding: 'utf8', ...other },
  });
}

test('no permission and too many open files are no damage', { skip: process.platform === 'win32' }, (t) => {
  const run = newRun();
  const take = `try { takeUpCheckpoint(${JSON.stringify(run)}, () => {}); } catch (error) { console.log(error.code, error.message); }`;
  const many = elsewhere(
    // One is left, which the first of the two files takes.
    `let last; try { for (;;) last = openSync('/dev/null'); } catch {} closeSync(last); ${take}`,
    'ulimit -n 200',
  );
  assert.match(many.stdout, /train\/unreadable .*too many files are open/, many.stderr);
  for (const path of [join(run, 'checkpoint-2', 'state.safetensors'), join(run, 'checkpoint-2')]) {
    chmodSync(path, 0);
    const forbidden = elsewhere(take);
    chmodSync(path, 0o755);
    if (!forbidden.stdout.startsWith('loaded')) t.skip('another user may not read this clone');
    else assert.match(forbidden.stdout, /train\/unreadable .*there is no permission/, forbidden.stderr);
  }
  assert.deepEqual(names(run), ['checkpoint-1', 'checkpoint-2']);
  assert.equal(takeUp(run), 2);
});

test('a damaged one is set aside and never deleted; the one before is taken', () => {
  const run = newRun();
  const damage = (content: string): void => writeFileSync(join(run, 'checkpoint-2', 'state.safetensors'), content);
  for (const content of ['first', 'second', 'third']) {
    damage(content);
    const said: string[] = [];
    assert.equal(stepFound(takeUpCheckpoint(run, (line) => said.push(line))), 1);
    assert.match(said.join(), /checkpoint-2 is damaged .* set aside as checkpoint-2\.damaged/);
    save(run, 2);
  }
  const kept = ['checkpoint-2.damaged', 'checkpoint-2.damaged-2', 'checkpoint-2.damaged-3'];
  assert.deepEqual(
    kept.map((name) => readFileSync(join(run, name, 'state.safetensors'), 'utf8')),
    ['first', 'second', 'third'],
  );
  for (const step of [3, 4, 5]) save(run, step, 1);
  assert.deepEqual(names(run), [...kept, 'checkpoint-5']);
});

test('facts that are garbage are a damage, whatever their checksum says', () => {
  const sealed = (facts: unknown): string => {
    const text = JSON.stringify(facts);
    return JSON.stringify({ crc32: crc32(text), facts: text });
  };
  const { pending: _, ...incomplete } = factsOf(2);
  for (const garbage of [
    ...[
      '',
      '{',
      'null',
      '[]',
      '5',
      '"x"',
      '{}',
      '{"crc32": 1}',
      '{"crc32": 1, "facts": 2}',
      '{"crc32": 1, "facts": "x"}',
    ],
    ...[null, [], 5, {}, factsOf(2), { ...incomplete, state: { bytes: 1, crc32: 1 } }].map(sealed),
    '\u0000'.repeat(500),
  ]) {
    const run = newRun();
    writeFileSync(join(run, 'checkpoint-2', 'facts.json'), garbage);
    assert.equal(takeUp(run), 1, garbage);
    assert.deepEqual(names(run), ['checkpoint-1', 'checkpoint-2.damaged']);
  }
});

test('with none that is sound there is an error that names each, and all stay', () => {
  const run = newRun();
  writeFileSync(join(run, 'checkpoint-1', 'facts.json'), '{');
  rmSync(join(run, 'checkpoint-2', 'state.safetensors'));
  const error = {
    code: 'train/no-sound-checkpoint',
    message: /\(checkpoint-2: a file of it is missing; checkpoint-1: facts\.json is no JSON of a checkpoint\)/,
  };
  assert.throws(() => takeUp(run), error);
  assert.throws(() => readCheckpoint(run, () => {}), error);
  assert.deepEqual(names(run), ['checkpoint-1', 'checkpoint-2']);
  // Set aside by an earlier start: then too.
  for (const step of [1, 2]) renameSync(join(run, `checkpoint-${step}`), join(run, `checkpoint-${step}.damaged`));
  assert.throws(() => takeUp(run), { code: 'train/no-sound-checkpoint' });
  assert.equal(takeUp(join(root, 'absent')), undefined);
});

test('who only reads changes nothing', () => {
  const run = newRun();
  writeFileSync(join(run, 'checkpoint-2', 'state.safetensors'), 'damaged');
  mkdirSync(join(run, 'checkpoint-3.part'));
  assert.equal(stepFound(readCheckpoint(run, () => {})), 1);
  assert.deepEqual(names(run), ['checkpoint-1', 'checkpoint-2', 'checkpoint-3.part']);
});

test('figures that are not finite come back as such', () => {
  const found = takeUpCheckpoint(newRun(), () => {});
  assert.deepEqual(found?.facts, factsOf(2));
  stepFound(found);
});
