/**
 * Writers on a disk that fills up at each place of what they write: an error in words, what was there before, nothing
 * half-written, and with room again it works. All commands are tried so by `tools/faults/full-disk.mjs`.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { io, scope, zeros } from '@commlm/torch';
import { ROOT } from '../helpers/cli.js';

const PAGE = 4096;
const disk = mkdtempSync(join(tmpdir(), 'commlm-disk-'));

const inside = <Module>(name: string): Promise<Module> =>
  import(pathToFileURL(join(ROOT, 'packages', 'commlm', 'dist', name)).href) as Promise<Module>;
const { writeDurably, writeDurablyAsync } = await inside<{
  writeDurably(path: string, content: string): void;
  writeDurablyAsync(path: string, content: string): Promise<void>;
}>('files/durable.js');
const { lockFile } = await inside<{ lockFile(path: string, purpose: object): Disposable }>('files/lock.js');
const { writeFolder } = await inside<{
  writeFolder(out: string, write: (folder: string) => void, options: { replace: boolean }): void;
}>('files/whole-folder.js');
const { saveCheckpoint, takeUpCheckpoint } = await inside<{
  saveCheckpoint(run: string, facts: object, tensors: Iterable<unknown>, keepLast: number): string;
  takeUpCheckpoint(
    run: string,
    warn: (line: string) => void,
  ): { facts: { step: number }; tensors: Map<string, Disposable> };
}>('train/loop/checkpoint.js');

const mount = (options: string): { status: number | null; stderr: string } =>
  spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'commlm-full', disk], { encoding: 'utf8' });
let refused: string | undefined;

before(() => {
  const { status, stderr } = mount(`size=${64 * PAGE}`);
  if (status !== 0) refused = `a small disk cannot be mounted here: ${stderr?.trim() ?? 'there is no mount'}`;
});

after(() => {
  if (refused === undefined) spawnSync('umount', [disk]);
  rmSync(disk, { recursive: true });
});

/** Takes all room but so many pages; gives it back when disposed. */
function leave(pages: number): Disposable {
  const filler = join(disk, 'filler');
  const free = (): number => Number(spawnSync('stat', ['-f', '-c', '%a', disk], { encoding: 'utf8' }).stdout);
  writeFileSync(filler, Buffer.alloc(Math.max(0, free() - pages) * PAGE));
  return { [Symbol.dispose]: () => rmSync(filler) };
}

const facts = (step: number): object => ({
  ...{ step, samples: step, nextBatch: step, recipe: 'r', pending: {} },
  ...{ skipped: { total: 0, inARow: 0 }, best: null, evalDue: false },
});
const text = (length: number): string => 'x'.repeat(length);

interface Writer {
  /** Writes the first state, then the second in its place. */
  readonly write: (place: string, state: 1 | 2) => void | Promise<void>;
  readonly read: (place: string) => unknown;
}

const WRITERS: Readonly<Record<string, Writer>> = {
  'a file': {
    write: (place, n) => writeDurably(place, text(n * 5 * PAGE)),
    read: (place) => readFileSync(place).length,
  },
  'a file, in turns': {
    write: (place, n) => writeDurablyAsync(place, text(n * 5 * PAGE)),
    read: (place) => readFileSync(place).length,
  },
  tensors: {
    write: (place, n) => scope(() => io.writeSafetensors(place, [['w', zeros([n * 5 * 1024])]])),
    read: (place) => readFileSync(place).length,
  },
  'a folder': {
    write: (place, n) =>
      writeFolder(
        place,
        (part) => {
          for (const name of ['a', 'b', 'config.json']) writeFileSync(join(part, name), text(n * 2 * PAGE));
        },
        { replace: true },
      ),
    read: (place) => readdirSync(place).map((name) => readFileSync(join(place, name)).length),
  },
  'a checkpoint': {
    write: (place, n) =>
      scope(() => {
        mkdirSync(place, { recursive: true });
        saveCheckpoint(place, facts(n), [['model.w', zeros([5 * 1024])]], 1);
      }),
    read: (place) => {
      const found = takeUpCheckpoint(place, (line) => assert.fail(line));
      for (const tensor of found.tensors.values()) tensor[Symbol.dispose]();
      return found.facts.step;
    },
  },
};

for (const [name, { write, read }] of Object.entries(WRITERS)) {
  test(`${name} on a disk that fills up`, async (t) => {
    if (refused !== undefined) return t.skip(refused);
    const place = join(disk, 'place');
    await write(place, 1);
    const old = read(place);
    let numFull = 0;
    for (let pages = 0; pages <= 14; pages++) {
      {
        using _ = leave(pages);
        try {
          await write(place, 2);
        } catch (error) {
          numFull++;
          assert.match((error as Error).message, /disk is full|ENOSPC/, `${pages} pages`);
          assert.deepEqual(read(place), old, `${pages} pages`);
        }
        assert.deepEqual(readdirSync(disk).sort(), ['filler', 'place'], `${pages} pages`);
      }
      await write(place, 2);
      assert.notDeepEqual(read(place), old);
      rmSync(place, { recursive: true });
      await write(place, 1);
    }
    assert.ok(numFull > 3, `full ${numFull} times`);
    rmSync(place, { recursive: true });
  });
}

test('a lock on a full disk is refused, and blocks nobody afterwards', (t) => {
  if (refused !== undefined) return t.skip(refused);
  const path = join(disk, 'a.lock');
  const purpose = { doing: 'writes', subject: 'here', otherwise: 'wait' };
  {
    using _ = leave(0);
    assert.throws(() => lockFile(path, purpose), { code: 'file/output', message: /the disk is full/ });
  }
  assert.ok(!existsSync(path));
  using _ = lockFile(path, purpose);
});
