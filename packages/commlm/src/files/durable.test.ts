/** Outputs: whole or not at all, and never onto an input. */
import assert from 'node:assert/strict';
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, test } from 'node:test';
import { makeFolder, refuseInputAsOutput, writeAll, writeDurably, writeDurablyAsync } from './durable.js';

const folder = mkdtempSync(join(tmpdir(), 'durable-'));
after(() => rmSync(folder, { recursive: true }));

test('a file is replaced whole, by bytes, text or a function', async () => {
  const path = join(folder, 'out');
  writeDurably(path, 'one');
  writeDurably(path, Buffer.from('two'));
  assert.equal(readFileSync(path, 'utf8'), 'two');
  writeDurably(path, (fd) => {
    writeAll(fd, 'th');
    writeAll(fd, 'ree');
  });
  assert.equal(readFileSync(path, 'utf8'), 'three');
  await writeDurablyAsync(path, 'four');
  assert.equal(readFileSync(path, 'utf8'), 'four');
  assert.deepEqual(readdirSync(folder), ['out']);
});

test('a failure leaves what was there, and nothing else', async () => {
  const path = join(folder, 'kept');
  writeDurably(path, 'old');
  const fault = new Error('in the middle');
  assert.throws(
    () =>
      writeDurably(path, (fd) => {
        writeAll(fd, 'half');
        throw fault;
      }),
    fault,
  );
  assert.equal(readFileSync(path, 'utf8'), 'old');
  assert.throws(() => writeDurably(join(folder, 'absent', 'x'), ''), {
    code: 'file/output',
    message: /its folder does not exist/,
  });
  await assert.rejects(writeDurablyAsync(join(folder, 'absent', 'x'), ''), { code: 'file/output' });
  assert.deepEqual(readdirSync(folder).sort(), ['kept', 'out']);
});

test('a device or a folder is never replaced by a file', { skip: process.platform === 'win32' }, async () => {
  for (const path of ['/dev/null', folder]) {
    assert.throws(() => writeDurably(path, 'x'), { code: 'file/output' });
    await assert.rejects(writeDurablyAsync(path, 'x'), { code: 'file/output' });
  }
});

test('an output that is an input is refused by whatever name', () => {
  const input = join(folder, 'in.png');
  writeFileSync(input, 'picture');
  const copy = join(folder, 'copy.png');
  writeFileSync(copy, 'picture');
  const hard = join(folder, 'hard.png');
  linkSync(input, hard);
  const soft = join(folder, 'soft.png');
  symlinkSync(input, soft);
  mkdirSync(join(folder, 'sub'));
  for (const output of [input, hard, soft, join(folder, 'sub', '..', 'in.png'), relative('.', input)]) {
    assert.throws(() => refuseInputAsOutput(output, [copy, input]), {
      code: 'file/is-input',
      fix: 'Name another file.',
    });
  }
  refuseInputAsOutput(copy, [input]);
  refuseInputAsOutput(join(folder, 'new.png'), [input, join(folder, 'absent.png')]);
  // Not there yet, but the same path: reading it will fail, writing must not be what makes it.
  assert.throws(() => refuseInputAsOutput(join(folder, 'new.png'), [join(folder, 'new.png')]), {
    code: 'file/is-input',
  });
});

test('a file in the place of a folder and a name that is too long have a sentence each', () => {
  const file = join(folder, 'a-file');
  writeFileSync(file, '');
  assert.throws(() => makeFolder(file), { code: 'file/output', message: `${file} is a file, not a folder.` });
  const long = join(folder, 'n'.repeat(300));
  assert.throws(() => makeFolder(long), {
    code: 'file/output',
    message: `Cannot write ${long}: its name is too long.`,
    fix: 'Choose another place.',
  });
});
