/** Samples as tokens: coordinates, pictures, what is learned, and what is cut. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationConfig } from '../config/model.js';
import { paddedFrame } from '../images/frames.js';
import { IGNORE_LABEL } from '../text/conversation.js';
import { type GoldenTokenizer, goldenTokenizer, readTextGolden } from '../text/golden.fixture.js';
import { collate, packRows } from './collate.js';
import { buildExample, type Example, fitToPictures, SampleError, type TextSettings } from './example.js';
import type { Sample, SampleTurn } from './sample.js';

const tokenizer = goldenTokenizer(
  readTextGolden<GoldenTokenizer[]>('tokenizers').find(({ name }) => name === 'own') as GoldenTokenizer,
);
const patchId = tokenizer.tokenToId('<im_patch>') as number;
const shikra: TextSettings = {
  tokenizer,
  model: {
    imageTokens: {
      kind: 'wrapped',
      patchId,
      startId: tokenizer.tokenToId('<im_start>') as number,
      endId: tokenizer.tokenToId('<im_end>') as number,
    },
  },
  tokensPerImage: 4,
  maxLength: 1000,
};
const withConversation = (conversation: ConversationConfig): TextSettings => ({
  ...shikra,
  model: { ...shikra.model, conversation },
});

const turn = (question: string, answer: string, marks: SampleTurn['marks'] = []): SampleTurn => ({
  question,
  answer,
  marks,
});
const sampleOf = (turns: SampleTurn[], numPictures = 1): Sample => ({
  id: 'set/1',
  where: 'set.jsonl:1',
  pictures: Array.from({ length: numPictures }, (_, i) => ({ store: 'images', key: `${i}.jpg` })),
  turns,
});

const learned = ({ labels }: Pick<Example, 'labels'>): string =>
  tokenizer.decode(
    labels.filter((label) => label !== IGNORE_LABEL),
    { skipSpecial: false },
  );
const text = ({ ids }: Pick<Example, 'ids'>): string => tokenizer.decode(ids, { skipSpecial: false });

const pointing = sampleOf([
  turn('Where is the dog in <image>?', 'Answer: <boxes> .', [{ kind: 'boxes', picture: 0, boxes: [[0, 0, 100, 50]] }]),
  turn('What is at <points> and <boxes>?', 'A cat.', [
    { kind: 'points', picture: 0, points: [[50, 25]] },
    { kind: 'boxes', picture: 0, boxes: [[0, 0, 50, 50]] },
  ]),
]);

test('coordinates are those of the padded square, in the order of the text', () => {
  // 100 x 50 lies in a square of 100 with 25 above and below.
  const example = buildExample(pointing, [paddedFrame(100, 50)], shikra, 'error');
  assert.deepEqual(example.turns, [
    { question: 'Where is the dog in <image>?', answer: 'Answer: [0.000,0.250,1.000,0.750] .' },
    { question: 'What is at [0.500,0.500] and [0.000,0.250,0.500,0.750]?', answer: 'A cat.' },
  ]);
  assert.equal(learned(example), ' Answer: [0.000,0.250,1.000,0.750] .</s> A cat.</s>');
  assert.deepEqual(
    example.imageSlots.map(({ length }) => length),
    [4],
  );
  const { start } = example.imageSlots[0]!;
  assert.deepEqual(example.ids.slice(start, start + 4), [patchId, patchId, patchId, patchId]);
});

test('several pictures, none, and a mark on the second one', () => {
  const two = sampleOf(
    [
      turn('<image>\n<image>\nWhich one shows <boxes>?', 'The second.', [
        { kind: 'boxes', picture: 1, boxes: [[0, 0, 10, 10]] },
      ]),
    ],
    2,
  );
  const example = buildExample(two, [paddedFrame(100, 50), paddedFrame(20, 20)], shikra, 'error');
  assert.match(
    text(example),
    /<im_end> <im_start>(<im_patch>){4}<im_end> Which one shows \[0\.000,0\.000,0\.500,0\.500\]\?/,
  );
  const none = buildExample(sampleOf([turn('Hello?', 'Hi.')], 0), [], shikra, 'error');
  assert.equal(none.imageSlots.length, 0);
  assert.equal(learned(none), ' Hi.</s>');
});

test('a chat template: answers and the token that ends them are learned, nothing else', () => {
  const template =
    "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>' }}{% for p in m.content %}" +
    "{% if p.type == 'image' %}{{ '<im_patch>' }}{% else %}{{ p.text }}{% endif %}{% endfor %}{{ eos_token }}{{ '\\n' }}{% endfor %}";
  const settings = withConversation({ kind: 'template', contents: 'parts', template });
  const example = buildExample(pointing, [paddedFrame(100, 50)], settings, 'error');
  assert.equal(learned(example), 'Answer: [0.000,0.250,1.000,0.750] .</s>A cat.</s>');
  assert.equal(example.imageSlots.length, 1);
  assert.equal(example.ids.filter((id) => id === patchId).length, 4);
  const endless = withConversation({
    kind: 'template',
    contents: 'parts',
    template: template.replace('{{ eos_token }}', ''),
  });
  assert.throws(() => buildExample(pointing, [paddedFrame(100, 50)], endless, 'error'), {
    code: 'data/malformed',
    message: /behind an answer/,
  });
});

test('all pictures in front where the form has them there', () => {
  const settings = withConversation({
    kind: 'roles',
    begin: true,
    system: '',
    systemEnd: '',
    user: 'In: ',
    assistant: ' Out:',
    answerStart: ' ',
    pictureEnd: '',
    pictures: 'front',
  });
  const example = buildExample(
    sampleOf([turn('What is in <image>?', 'A dog.')]),
    [paddedFrame(9, 9)],
    settings,
    'error',
  );
  assert.match(text(example), /^<s><im_start>(<im_patch>){4}<im_end>In: What is in/);
});

test('an answer that is not to be learned is read, in a fixed form and by a template', () => {
  const template =
    "{% for m in messages %}{{ '<|' + m.role + '|>' }}{% for p in m.content %}{{ p.text }}{% endfor %}{{ eos_token }}{% endfor %}";
  const turns = [{ ...turn('Is it a dog?', 'A bad answer.'), learned: false as const }, turn('Is it?', 'Yes.')];
  for (const [settings, told] of [
    [shikra, ' Yes.</s>'],
    [withConversation({ kind: 'template', contents: 'parts', template }), 'Yes.</s>'],
  ] as const) {
    const example = buildExample(sampleOf(turns, 0), [], settings, 'error');
    assert.equal(learned(example), told);
    const whole = buildExample(sampleOf([turn('Is it a dog?', 'A bad answer.'), turns[1]!], 0), [], settings, 'error');
    assert.deepEqual(example.ids, whole.ids, 'what is read stays');
  }
  const none = sampleOf([turns[0]!], 0);
  assert.throws(() => buildExample(none, [], shikra, 'error'), { code: 'data/untrained' });
});

test("a system text of the sample stands in the place of the model's own", () => {
  const sample = { ...sampleOf([turn('Is it?', 'Yes.')], 0), system: 'Be brief.' };
  assert.equal(text(buildExample(sample, [], shikra, 'error')), '<s>Be brief. USER: Is it? ASSISTANT: Yes.</s>');
  const template =
    "{% for m in messages %}{{ '<|' + m.role + '|>' }}{% for p in m.content %}{{ p.text }}{% endfor %}{{ eos_token }}{% endfor %}";
  const settings = withConversation({ kind: 'template', contents: 'parts', template });
  const example = buildExample(sample, [], settings, 'error');
  assert.match(text(example), /<\|system\|>Be brief\.<\/s><\|user\|>Is it\?/);
  assert.equal(learned(example), 'Yes.</s>');
});

test('truncation drops whole turns, then the end of the answer, and never a picture', () => {
  const long = sampleOf([
    turn('<image> What is it?', 'A dog that runs over the green field.'),
    turn('And where?', 'On the field.'),
    turn('Why?', 'It likes to run.'),
  ]);
  const frames = [paddedFrame(9, 9)];
  const whole = buildExample(long, frames, shikra, 'error');
  assert.equal(whole.cut, undefined);
  const fit = (maxLength: number): Example => buildExample(long, frames, { ...shikra, maxLength }, 'truncate');
  const two = fit(whole.ids.length - 1);
  assert.deepEqual(two.cut, { turns: 1, tokens: 0 });
  assert.deepEqual(two.ids, whole.ids.slice(0, two.ids.length), 'what is left is the start of the whole');
  const one = buildExample(sampleOf([long.turns[0]!]), frames, shikra, 'error');
  const cut = fit(one.ids.length - 3);
  assert.deepEqual(cut.cut, { turns: 2, tokens: 3 });
  assert.deepEqual(cut.ids, one.ids.slice(0, -3));
  assert.ok(!learned(cut).includes('</s>'), 'an end that is not there is not learned');
  assert.throws(() => buildExample(long, frames, { ...shikra, maxLength: whole.ids.length - 1 }, 'error'), {
    code: 'data/too-long',
    message: /^set\.jsonl:1: the sample has \d+ tokens/,
  });
  const { start, length } = one.imageSlots[0]!;
  for (const maxLength of [start + length - 1, start + length + 1]) {
    assert.throws(() => fit(maxLength), { code: 'data/too-long', message: /pictures and question alone/ });
  }
});

test('faults of a sample are errors with file and line', () => {
  const frames = [paddedFrame(100, 50)];
  const fails = (sample: Sample, code: string, message: RegExp): void => {
    assert.throws(
      () => buildExample(sample, frames, shikra, 'error'),
      (error) =>
        error instanceof SampleError &&
        error.code === code &&
        error.message.startsWith('set.jsonl:1: ') &&
        message.test(error.message),
    );
  };
  fails(sampleOf([turn('What is it?', 'A dog.')]), 'data/image-count', /0 <image> but 1 picture\./);
  fails(sampleOf([turn('<image><image>?', 'A dog.')]), 'data/image-count', /2 <image> but 1 picture\./);
  fails(sampleOf([turn('<image>?', 'A <image>.')]), 'data/image-count', /an answer holds <image>/);
  fails(sampleOf([turn('<image> at <boxes>?', 'A dog.')]), 'data/malformed', /1 <boxes> but 0/);
  const elsewhere = [{ kind: 'boxes', picture: 1, boxes: [[0, 0, 1, 1]] }] as const;
  fails(sampleOf([turn('<image> at <boxes>?', 'A dog.', elsewhere)]), 'data/malformed', /picture 2 of 1/);
});

test('boxes are cut to their picture, and one that covers nothing of it is a fault', () => {
  const fit = (box: readonly [number, number, number, number]) => {
    const marks = [{ kind: 'boxes', picture: 0, boxes: [[1, 1, 2, 2], box] }] as const;
    const fitted = fitToPictures(sampleOf([turn('<image> <boxes>?', 'A dog.', marks)]), [paddedFrame(100, 50)]);
    const [mark] = fitted.turns[0]!.marks;
    return mark?.kind === 'boxes' ? mark.boxes[1] : undefined;
  };
  assert.deepEqual(fit([0, 0, 10, 10]), [0, 0, 10, 10]);
  assert.deepEqual(fit([-5, 40, 120, 60]), [0, 40, 100, 50]);
  // A tenth of its width is on the picture; a bit less is not enough.
  assert.deepEqual(fit([90, 0, 190, 20]), [90, 0, 100, 20]);
  const refused = [
    [[90.5, 0, 190.5, 20], /lies nearly all outside of the picture \(100 x 50\)/],
    [[5, 5, 5, 9], /has no area/],
    [[100, 0, 130, 20], /lies outside of the picture/],
    [[0, -904, 30, -880], /lies outside of the picture/],
  ] as const;
  for (const [box, message] of refused) {
    assert.throws(
      () => fit(box),
      (error) => error instanceof SampleError && error.kind === 'empty-box' && message.test(error.message),
    );
  }
});

test('rows are packed to the brim, each example whole and in one row', () => {
  assert.deepEqual(packRows([5, 3, 9, 2, 4], 10), [[2], [0, 4], [1, 3]]);
  const examples = [
    { ids: [1, 2, 3], labels: [1, IGNORE_LABEL, 3], imageSlots: [{ start: 1, length: 2 }] },
    { ids: [4, 5], labels: [IGNORE_LABEL, 5], imageSlots: [{ start: 0, length: 1 }] },
  ];
  const packed = collate(examples, { packing: 'pack', maxLength: 6, padId: 0 });
  assert.equal(packed.numRows, 1);
  assert.deepEqual([...packed.ids], [1n, 2n, 3n, 4n, 5n]);
  assert.deepEqual([...packed.labels], [-100n, -100n, 3n, -100n, 5n], 'no example predicts the start of the next');
  assert.deepEqual([...packed.positions], [0n, 1n, 2n, 0n, 1n]);
  assert.deepEqual([...packed.segments], [1, 1, 1, 2, 2]);
  assert.deepEqual([...packed.places], [1n, 2n, 3n], 'where the visual tokens go');
  const padded = collate(examples, { packing: 'pad', maxLength: 6, padId: 0 });
  assert.deepEqual([padded.numRows, padded.numTokens], [2, 3]);
  assert.deepEqual([...padded.ids], [1n, 2n, 3n, 4n, 5n, 0n]);
  assert.deepEqual([...padded.segments], [1, 1, 1, 1, 1, -1]);
  assert.deepEqual([...padded.places], [1n, 2n, 3n]);
  assert.deepEqual(padded.order, [0, 1]);
});
