/**
 * The columns of the world: what looking is worth against the highest of those that did not look, and what words alone give.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { loadSpriteBank, type SpriteBank } from '../data/world/index.js';
import type { TextBox } from '../text/boxes.js';
import { compareColumns } from './world-figures.js';
import { itemsOf, type SceneStream, sceneAt, shortAnswer, type WorldItem } from './world-items.js';
import { bestBox, wordingOf } from './world-prior.js';

let bank: SpriteBank;
before(async () => {
  bank = await loadSpriteBank();
});

function itemsFor(count: number): WorldItem[] {
  const stream: SceneStream = { bank, split: 'test', style: 'known', seed: 900, size: 256 };
  const scenes = Array.from({ length: count }, (_, index) => ({ scene: sceneAt(stream, index), index }));
  return scenes.flatMap((scene, i) => itemsOf(scene, scenes[(i + 1) % count]!));
}

test('margins are over the highest of the other three, with paired intervals over scenes', () => {
  const items = itemsFor(60);
  const right = items.map(({ target }) => target);
  const constant = items.map(({ type }) => (type === 'rec' ? '[0.350,0.250,0.800,0.700]' : 'The answer is yes.'));
  const wrong = items.map(({ type, target }, i) => (type === 'existence' && i % 3 > 0 ? target : 'The answer is no.'));
  const { figures, intervals, margins } = compareColumns(items, {
    picture: right,
    wrong,
    grey: items.map(() => ''),
    prior: constant,
  });
  assert.deepEqual([figures.picture.existence, figures.picture.vqa, figures.picture.rec], [1, 1, 1]);
  assert.ok(figures.picture.captionCider > 5);
  assert.deepEqual(intervals['existence'], { low: 1, high: 1 });
  const existence = items.filter(({ type }) => type === 'existence');
  const shareOf = (answers: readonly string[]): number =>
    items.filter(({ type, target }, i) => type === 'existence' && shortAnswer(target) === shortAnswer(answers[i]!))
      .length / existence.length;
  assert.deepEqual([figures.wrong.existence, figures.prior.existence], [shareOf(wrong), shareOf(constant)]);
  const margin = margins['existence'] ?? assert.fail();
  assert.equal(margin.over, 'wrong');
  assert.equal(margin.value, 1 - shareOf(wrong));
  assert.ok((margin.low as number) < margin.value && margin.value < (margin.high as number));
  assert.equal(margins['recMeanIou']?.over, 'prior');
  assert.ok(!('existenceYesRatio' in margins));
  // Of a kind of questions and of all kinds together.
  assert.equal(figures.prior.vqaByType['count'], 0);
  assert.equal(margins['vqa.count']?.value, 1);
});

test('columns of equal answers have no margin', () => {
  const items = itemsFor(20);
  const answers = items.map(() => 'The answer is 1.');
  const { margins } = compareColumns(items, { picture: answers, wrong: answers, grey: answers, prior: answers });
  for (const [name, { value, low, high }] of Object.entries(margins))
    assert.deepEqual([value, low, high], [0, 0, 0], name);
});

test('a question draws other things from a scene for another draw, and the same for the same', () => {
  const stream: SceneStream = { bank, split: 'train', style: 'known', seed: 0, size: 256 };
  const [one, two] = [0, 1].map((index) => ({ scene: sceneAt(stream, index), index }));
  const asked = (draw: number): string[] => itemsOf(one as never, two as never, draw).map(({ question }) => question);
  assert.deepEqual(asked(1), asked(1));
  assert.notDeepEqual(asked(0), asked(1));
});

test('wordings leave out names, colours and boxes, and keep what narrows the answer', () => {
  for (const [question, wording] of [
    ['How many red circles are there?', 'How many _ are there?'],
    ['Is there an elephant in the image?', 'Is there a _ in the image?'],
    ['What animal is in the picture?', 'What animal is in the picture?'],
    ['Is the dog left of the blue star?', 'Is the _ left of the _?'],
    ['What is at [0.100,0.200,0.300,0.400]?', 'What is at []?'],
  ] as const) {
    assert.equal(wordingOf(question), wording);
  }
});

test('the best box is the one that most boxes overlap with', () => {
  const near = (x: number): TextBox => [x, 0.2, x + 0.5, 0.8];
  const boxes: TextBox[] = [near(0.21), near(0.23), near(0.26), [0.8, 0.8, 0.9, 0.9], [0, 0.85, 0.1, 1]];
  const [x1, y1, x2, y2] = bestBox(boxes);
  for (const box of boxes.slice(0, 3)) {
    const width = Math.min(x2, box[2]) - Math.max(x1, box[0]);
    const height = Math.min(y2, box[3]) - Math.max(y1, box[1]);
    const union = (x2 - x1) * (y2 - y1) + 0.3 - width * height;
    assert.ok((width * height) / union > 0.5, `${[x1, y1, x2, y2]}`);
  }
});
