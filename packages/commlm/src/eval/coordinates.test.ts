/** Boxes of answers in the forms that models write, and what is said when their numbers do not fit the frame. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frameNotes, rewriteBox } from './coordinates.js';
import { parseRecAnswer, scoreRec } from './metrics/rec.js';

const size = { width: 640, height: 480 };
const target = { box: [96, 48, 480, 360] as const, ...size };

/** The same box in thousandths of the picture: 150, 100, 750, 750. */
const forms = [
  '[150, 100, 750, 750]',
  'It is at (150,100,750,750).',
  '<|box_start|>(150,100),(750,750)<|box_end|>',
  '<ref>the dog</ref><box>(150,100),(750,750)</box>',
  '[150,100] [750,750]',
  '<box>[[150,100,750,750]]</box>',
  '```json\n[\n  {"bbox_2d": [150, 100, 750, 750], "label": "dog"}\n]\n```',
  '{"box_2d": [100, 150, 750, 750]}', // y before x
  '[[150, 100, 750, 750], [0, 0, 10, 10]]',
  '[١٥٠, ١٠٠, ٧٥٠, ٧٥٠]',
];

test('a box in thousandths is read in every form, by both readers, and fits whole', () => {
  for (const answer of forms) {
    for (const reader of ['shikra', 'lmms-eval'] as const) {
      const rewritten = rewriteBox(answer, size, 'thousandths', reader);
      assert.deepEqual(scoreRec([target], [rewritten], { reader }), {
        ...{ accuracy: 1, meanIoU: 1, failed: 0 },
        perItem: [{ box: JSON.parse(rewritten) as never, iou: 1, hit: true }],
      });
    }
  }
});

test('pixels come back as themselves, to the last one of a large picture', () => {
  const large = { width: 20_001, height: 9973 };
  const box = [1, 2, 20_000, 9972] as const;
  const fractions = JSON.parse(rewriteBox(`[${box.join(', ')}]`, large, 'pixels', 'lmms-eval')) as number[];
  for (const [i, value] of fractions.entries()) {
    const side = i % 2 === 0 ? large.width : large.height;
    assert.ok(Math.abs(value * side - box[i]!) <= side * 0.5e-12 + 4 * side * Number.EPSILON);
  }
});

test('what holds no box stays, and fails', () => {
  for (const answer of ['no box', '[1, 2, 3]', '(1,2)', '[a, b, c, d]']) {
    assert.equal(rewriteBox(answer, size, 'pixels', 'shikra'), answer);
    assert.equal(parseRecAnswer(rewriteBox(answer, size, 'pixels', 'shikra')), null);
  }
});

test('numbers outside of the frame are counted and named', () => {
  const note = (answers: readonly string[], coordinates: Parameters<typeof frameNotes>[2]): string =>
    frameNotes(
      answers,
      answers.map(() => size),
      coordinates,
    ).join(' ');
  assert.match(note(forms, 'shikra'), /^10 of 10 answers hold numbers above 1: .*--coordinates thousand or pixel\.$/);
  assert.match(note(['[0.1,0.2,0.3,0.4]', '[1, 2, 3, 4]'], 'relative'), /^1 of 2 answers hold numbers above 1:/);
  assert.match(note(['[0, 0, 640, 481]', '[0, 0, 640, 480]'], 'pixels'), /^1 of 2 .* above the size of the picture:/);
  assert.match(note(['[0, 0, 1001, 9]'], 'thousandths'), /^1 of 1 answers hold numbers above 1000:/);
  assert.match(note(['[-1, 0, 3, 9]'], 'pixels'), /^1 of 1 answers hold numbers below 0:/);
  assert.match(note(['[0.1, 0.2, 0.3, 0.4]'], 'thousandths'), /^1 of 1 answers hold no number above 1:/);
  assert.equal(note(['[0.1,0.2,0.3,1]', 'none', '[0,0,0,0]'], 'shikra'), '');
  assert.equal(note(['[0, 100, 1000, 900]'], 'thousandths'), '');
});
