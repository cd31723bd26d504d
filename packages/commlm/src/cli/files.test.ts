// Outputs appear whole or not at all, and what is in the way is said in a sentence.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CommError } from '../config/errors.js';
import { checkExtension, checkOutputFile, writeFileAtomically } from './files.js';

const folder = mkdtempSync(join(tmpdir(), 'commlm-files-'));
after(() => rmSync(folder, { recursive: true }));

test('a file is replaced whole', () => {
  const path = join(folder, 'a.txt');
  writeFileSync(path, 'old and longer');
  writeFileAtomically(path, 'new');
  assert.equal(readFileSync(path, 'utf8'), 'new');
  assert.deepEqual(readdirSync(folder), ['a.txt']);
});

test('a failed write leaves neither a part nor a changed file', () => {
  const taken = join(folder, 'folder');
  mkdirSync(join(taken, 'inner'), { recursive: true });
  assert.throws(
    () => writeFileAtomically(taken, 'x'),
    (error) => error instanceof CommError && error.code === 'cli/output',
  );
  assert.throws(() => writeFileAtomically(join(folder, 'none', 'a.txt'), 'x'), /its folder does not exist/);
  assert.deepEqual(readdirSync(folder).sort(), ['a.txt', 'folder']);
});

test('outputs are checked before the work', () => {
  checkOutputFile(join(folder, 'new.png'));
  assert.equal(existsSync(join(folder, 'new.png')), false);
  assert.throws(() => checkOutputFile(join(folder, 'none', 'a.png')), /there is no folder/);
  assert.throws(() => checkOutputFile(folder), /it is a folder/);
  assert.throws(() => checkExtension('a.gif', ['.png', '.jpg']), /must end in \.png or \.jpg/);
  checkExtension('A.PNG', ['.png']);
});
