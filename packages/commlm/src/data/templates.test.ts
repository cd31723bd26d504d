/** Sentences that questions are asked with: their number, their placeholders, lists of one's own. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TEMPLATE_SENTENCES, TEMPLATE_TASKS } from './template-sentences.js';
import { loadTemplates } from './templates.js';
import { Random } from './world/random.js';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'comm-templates-'));
});
after(() => rm(folder, { recursive: true, force: true }));

test('every task has at least twenty sentences, all different, all with their placeholders', async () => {
  for (const task of TEMPLATE_TASKS) {
    const { sentences } = await loadTemplates(task, undefined);
    assert.ok(sentences.length >= 20, `${task}: ${sentences.length}`);
    assert.equal(new Set(sentences.map((sentence) => sentence.toLowerCase())).size, sentences.length, task);
  }
});

test('the sentences that the papers quote come first', () => {
  assert.match(
    TEMPLATE_SENTENCES.rec[0]!,
    /^Can you point out <expr> in the image .*provide the coordinates of its location\?$/,
  );
  assert.match(
    TEMPLATE_SENTENCES.reg[0]!,
    /^Please generate a distinguishing description for the region <objs> in the image/,
  );
  assert.match(
    TEMPLATE_SENTENCES.spot[0]!,
    /^Provide a comprehensive description of the image .* in square brackets\.$/,
  );
});

test('a list is cut, replaced by a file, or by one sentence', async () => {
  assert.equal((await loadTemplates('vqa', { kind: 'built-in', max: 3 })).sentences.length, 3);
  const file = join(folder, 'own.json');
  await writeFile(file, JSON.stringify(['<image> <question>', 'Say: <question> <image>']));
  assert.equal((await loadTemplates('vqa', { kind: 'file', file })).sentences.length, 2);
  assert.equal((await loadTemplates('vqa', { kind: 'file', file, max: 1 })).sentences.length, 1);
  const one = await loadTemplates('vqa', { kind: 'text', text: '<question> <image>' });
  // A dollar sign of the question stays as it is.
  assert.equal(one.draw(new Random(1, 'x'), { '<question>': 'Is it $& or $1?' }), 'Is it $& or $1? <image>');
});

test('a sentence without its placeholder, or with two, is refused by number', async () => {
  const file = join(folder, 'bad.json');
  const refused = async (content: string, message: RegExp): Promise<void> => {
    await writeFile(file, content);
    await assert.rejects(loadTemplates('rec', { kind: 'file', file }), { message });
  };
  await refused('["<image> <expr>", "<image> where?"]', /bad\.json, template 2: <expr> is there 0 times/);
  await refused('["<image> <image> <expr>"]', /template 1: <image> is there 2 times/);
  await refused('["<image>', /bad\.json \(the templates\) is not valid JSON/);
  await refused('[]', /a JSON array of texts is needed/);
  await assert.rejects(loadTemplates('rec', { kind: 'file', file: join(folder, 'absent.json') }), /There is no file/);
});

test('all sentences are drawn, and the same draw gives the same', async () => {
  const templates = await loadTemplates('caption', undefined);
  const drawn = new Set(Array.from({ length: 600 }, (_, i) => templates.draw(new Random(i, 'set/0'))));
  assert.equal(drawn.size, templates.sentences.length);
  assert.equal(templates.draw(new Random(5, 'set/0')), templates.draw(new Random(5, 'set/0')));
});
