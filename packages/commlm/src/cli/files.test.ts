/** What is in the way of an output is said in a sentence, before the work. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkExtension, checkOutputFile } from './files.js';

const folder = mkdtempSync(join(tmpdir(), 'commlm-files-'));
after(() => rmSync(folder, { recursive: true }));

test('outputs are checked before the work', () => {
  checkOutputFile(join(folder, 'new.png'));
  assert.equal(existsSync(join(folder, 'new.png')), false);
  assert.throws(() => checkOutputFile(join(folder, 'none', 'a.png')), /there is no folder/);
  assert.throws(() => checkOutputFile(folder), /it is a folder/);
  assert.throws(() => checkExtension('a.gif', ['.png', '.jpg']), /must end in \.png or \.jpg/);
  checkExtension('A.PNG', ['.png']);
});
