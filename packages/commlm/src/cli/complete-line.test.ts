/** Tab completion in a conversation: commands, paths with blanks and umlauts, folders, and nothing that a terminal obeys. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { completeLine } from './complete-line.js';

const folder = mkdtempSync(join(tmpdir(), 'commlm Tab ä-'));
for (const name of ['dog.png', 'dog two.jpg', 'dogma.txt', '.hidden.png', 'Über.webp', 'evil\u001b[2J.png'])
  writeFileSync(join(folder, name), '');
mkdirSync(join(folder, 'dogs'));
after(() => rmSync(folder, { recursive: true }));

test('a command is completed, a question is not', () => {
  assert.deepEqual(completeLine('/im'), [['/image '], '/im']);
  assert.deepEqual(completeLine('/')[0].length, 5);
  assert.deepEqual(completeLine('What is this'), [[], 'What is this']);
  assert.deepEqual(completeLine('/reset no'), [[], '/reset no']);
});

test('a path is completed to pictures and folders, blanks included', () => {
  const typed = `${folder}/do`;
  const hits = ['dog two.jpg', 'dog.png', 'dogs/'].map((name) => `${folder}/${name}`);
  assert.deepEqual(completeLine(`/image ${typed}`), [hits, typed]);
  assert.deepEqual(completeLine(`/draw ${folder}/dog t`)[0], [`${folder}/dog two.jpg`]);
  assert.deepEqual(completeLine(`/image ${folder}/Ü`)[0], [`${folder}/Über.webp`]);
});

test('names with controls are not offered, hidden ones only when asked for, and a missing folder offers nothing', () => {
  const offered = completeLine(`/image ${folder}/`)[0].map((path) => path.slice(folder.length + 1));
  assert.deepEqual(offered, ['dog two.jpg', 'dog.png', 'dogs/', 'Über.webp']);
  assert.deepEqual(completeLine(`/image ${folder}/.`)[0], [`${folder}/.hidden.png`]);
  assert.deepEqual(completeLine('/image /nowhere/x')[0], []);
});
