/** What the embedded model says of itself, and the hint for a question about something else. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { NOUNS } from '../data/world/index.js';
import { hintFor, introduction, readKnownThings } from './known-things.js';
import { PHOTO_MODELS } from './photo-models.js';

const embedded = fileURLToPath(new URL('../../../../models/comm-tiny', import.meta.url));

test('the embedded model knows the things of the world, and no photographs', () => {
  const known = readKnownThings(embedded)!;
  assert.deepEqual(known.nouns, Object.fromEntries(NOUNS.map(({ name, plural }) => [name, plural])));
  const line = introduction(known);
  assert.match(line, /^comm-tiny knows 48 drawn things .* and no photographs; for those: commlm pull /);
  for (const { id, size, licence } of PHOTO_MODELS) assert.ok(line.includes(`commlm pull ${id} (${size}, ${licence})`));
  assert.ok(!line.includes('\n'));
});

test('a question about what is not known gets a hint, one that needs no noun gets none', () => {
  const known = readKnownThings(embedded)!;
  for (const question of [
    'Find the dog in the image.',
    'How many BUSES are there, kindly?',
    'What is in the picture?',
    'Describe the image.',
    'Provide a comprehensive description of the image and specify the positions of any mentioned objects in square brackets.',
    'What is at [0.1,0.2,0.5,0.6]?',
  ]) {
    assert.equal(hintFor(question, known), undefined, question);
  }
  assert.match(
    hintFor('Find the helicopter in the image.', known)!,
    /never asked about "helicopter",.* airplane, anchor/,
  );
  assert.match(hintFor('What is the weather in Paris?', known)!, /"weather", "paris"/);
});

test('a question in another language is told that English is known, and English ones are not', () => {
  const known = readKnownThings(embedded)!;
  for (const question of [
    'Ist ein Hund auf dem Bild?',
    'Was ist in dem Bild?',
    'Wo ist der Hund am Haus?',
    'Où est le chien ?',
    '¿Hay un perro en la imagen?',
    '画像の 中に 犬は いますか',
  ]) {
    assert.match(
      hintFor(question, known)!,
      /^comm-tiny knows English only, .*"Is there a dog in the image\?"\.$/,
      question,
    );
  }
  for (const question of ['Helicopter?', 'red helicopter', 'Find flying helicopters', 'Is anybody running?']) {
    assert.match(hintFor(question, known)!, /was never asked about/, question);
  }
});

test('a folder without the file says nothing, a wrong file is named', () => {
  const folder = mkdtempSync(join(tmpdir(), 'commlm-known-'));
  try {
    assert.equal(readKnownThings(folder), undefined);
    writeFileSync(join(folder, 'commlm.json'), '{"knows": "all", "photographs": true, "nouns": {}, "word": ""}');
    assert.throws(() => readKnownThings(folder), { name: 'CommError', message: /commlm\.json/ });
    writeFileSync(join(folder, 'commlm.json'), '{"knows": "all", "photographs": true, "nouns": {}, "words": ""}');
    assert.doesNotMatch(introduction(readKnownThings(folder)!), /pull/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
