/** Prompts: what is asked, and what is taken away from answers before they are scored. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { EvalItem } from './benchmarks/item.js';
import { COORDINATES, rewriteBox, writeBox } from './coordinates.js';
import { parseRecAnswer } from './metrics/rec.js';
import { fillPrompt, loadPrompts, PROMPT_NAMES, PROMPT_SETS, readAnswer, withCoordinates } from './prompts.js';

const folder = mkdtempSync(join(tmpdir(), 'commlm-prompts-'));
after(() => rmSync(folder, { recursive: true }));

const item = (words: Record<string, string>, more: Partial<EvalItem> = {}): EvalItem => ({
  ...{ id: 1, unit: 1, picture: null, words },
  ...more,
});

test('every set has every prompt, and a line without a word is left out', () => {
  for (const { prompts } of PROMPT_SETS.values())
    assert.deepEqual(Object.keys(prompts).sort(), [...PROMPT_NAMES].sort());
  const { mmbench } = loadPrompts('shikra').prompts;
  const words = { question: 'What?', options: 'A. x\nB. <y>', hint: '' };
  assert.equal(
    fillPrompt(mmbench, item(words)),
    'Question: What?\nOptions:\nA. x\nB. <y>\nPlease select the correct answer from the options above.',
  );
  assert.match(fillPrompt(mmbench, item({ ...words, hint: 'Look.' })), /^Hint: Look\.\nQuestion/);
});

test('sentence frames are removed only where the set says so', () => {
  const { vqa } = loadPrompts('shikra').prompts;
  const read = (text: string): string => readAnswer(vqa, text, item({}), 'official');
  assert.equal(read('The answer is red.'), 'red');
  assert.equal(read('There are two. So the answer is Two dogs. \n'), 'Two dogs');
  assert.equal(read('Answer: no'), 'no');
  assert.equal(read('a red bus'), 'a red bus');
  assert.equal(read('The answer is 1.5.'), '1.5');
  assert.equal(
    readAnswer(loadPrompts('llava').prompts.vqa, ' The answer is red.\n', item({}), 'official'),
    'The answer is red.',
  );
});

test('a box comes back from every frame of coordinates', () => {
  const size = { width: 200, height: 100 };
  const box = [20, 10, 100, 60] as const;
  for (const coordinates of COORDINATES) {
    const written = `It is here: ${writeBox(box, size, coordinates).replaceAll(',', coordinates === 'shikra' ? ',' : ', ')}.`;
    assert.deepEqual(
      parseRecAnswer(rewriteBox(written, size, coordinates, 'shikra')),
      [0.1, 0.3, 0.5, 0.55],
      coordinates,
    );
    assert.deepEqual(
      JSON.parse(rewriteBox(written, size, coordinates, 'lmms-eval')),
      [0.1, 0.1, 0.5, 0.6],
      coordinates,
    );
  }
  assert.equal(rewriteBox('nothing', size, 'pixels', 'shikra'), 'nothing');
  // By Shikra's rules blanks make a box unreadable, and that must stay so.
  assert.equal(parseRecAnswer(rewriteBox('[0.1, 0.3, 0.5, 0.55]', size, 'shikra', 'shikra')), null);
  const set = withCoordinates(loadPrompts('general'), 'pixels');
  assert.match(fillPrompt(set.prompts.rec, item({ expr: 'the dog' }, { size })), /^Find the dog .*\n.*in pixels/);
  assert.match(fillPrompt(set.prompts.reg, item({}, { size, box })), /\[20,10,100,60\]/);
});

test('a file of prompts builds on a set, and its faults are named', () => {
  const write = (value: unknown): string => {
    const path = join(folder, 'prompts.json');
    writeFileSync(path, JSON.stringify(value));
    return path;
  };
  const vqa = { template: 'Q: <question>', answer: 'as-is' };
  const mine = { name: 'mine', version: 3, base: 'llava', prompts: { vqa } };
  const set = loadPrompts(write(mine));
  assert.deepEqual([set.name, set.version, set.prompts.vqa], ['mine', 3, vqa]);
  assert.equal(set.prompts.rec, PROMPT_SETS.get('llava')?.prompts.rec);
  const faults: [unknown, RegExp][] = [
    [{ ...mine, prompts: { vqa: { ...vqa, template: 'Q' } } }, /<question> must be there once/],
    [{ ...mine, prompts: { vqa: { ...vqa, template: '<question> <expr>' } } }, /nothing is known for <expr>/],
    [{ ...mine, prompts: { vqa: { ...vqa, coordinates: 'pixels' } } }, /no effect/],
    [{ ...mine, prompts: { rec: { template: '<expr>', answer: 'as-is' } } }, /"coordinates" is missing/],
    [{ ...mine, prompts: { vqq: vqa } }, /prompts/],
    [{ ...mine, name: 'shikra' }, /is that of a set we have/],
    [{ ...mine, base: 'other' }, /base/],
  ];
  for (const [value, message] of faults) assert.throws(() => loadPrompts(write(value)), message);
  assert.throws(() => loadPrompts('nowhere'), /no such set of prompts and no such file/);
});
