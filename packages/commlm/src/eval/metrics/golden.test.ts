/** Every metric against the golden results of tools/golden/metrics.py: captions to 1e-9, everything else exactly. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { scoreCaptions } from './captions.js';
import { type GqaQuestion, type GqaReader, scoreGqa } from './gqa.js';
import { type MmbenchReader, type MmbenchRow, scoreMmbench } from './mmbench.js';
import { type MmeQuestion, type MmeReader, scoreMmeSubtask } from './mme.js';
import { scoreMmvp } from './mmvp.js';
import { type PopeReader, scorePope } from './pope.js';
import { ptbTokenize } from './ptb-tokenizer.js';
import { type RecReader, type RecTarget, scoreRec } from './rec.js';
import { type ScienceQaProblem, scoreScienceQa } from './scienceqa.js';
import { scoreVqa, type VqaAnnotation, type VqaReader } from './vqa.js';

const FOLDER = new URL('../../../../../tests/golden/metrics/', import.meta.url);

function golden<T>(name: string): T {
  return JSON.parse(gunzipSync(readFileSync(new URL(`${name}.json.gz`, FOLDER))).toString('utf8')) as T;
}

interface AnswerGolden {
  vqa: {
    annotations: Array<VqaAnnotation<number>>;
    answers: string[];
    scores: Record<VqaReader, { means: Record<string, number>; perItem: Array<[number, string]> }>;
  };
  pope: { pairs: Array<[string, string]>; scores: Record<PopeReader, unknown> };
  mme: { pairs: Array<[string, string]>; scores: Record<MmeReader, unknown> };
  mmbench: {
    rows: MmbenchRow[];
    answers: string[];
    scores: Record<MmbenchReader, { parsed: Array<string | null>; circular: number; vanilla: number }>;
  };
  rec: {
    targets: RecTarget[];
    answers: string[];
    scores: Record<RecReader, { accuracy: number; failed: number; perItem: Array<[number[] | null, number | null]> }>;
  };
  gqa: {
    questions: GqaQuestion[];
    predictions: string[];
    scores: Record<GqaReader, { accuracy: number; parsed: Array<string | null>; hits: boolean[] }>;
  };
  scienceqa: {
    problems: ScienceQaProblem[];
    texts: Array<string | null>;
    scores: { accuracy: number; parsed: Array<string | null>; hits: boolean[] };
  };
  mmvp: {
    labels: Array<'A' | 'B'>;
    answers: string[];
    scores: { parsed: Array<string | null>; accuracy: number; pairAccuracy: number };
  };
}

const answers = golden<AnswerGolden>('answers');

test('PTB tokens equal those of CoreNLP 3.4.1', () => {
  const { lines, tokens } = golden<{ lines: string[]; tokens: string[] }>('tokenizer');
  assert.ok(lines.length >= 2000);
  const got = ptbTokenize(lines);
  lines.forEach((line, i) => {
    assert.equal(got[i], tokens[i], JSON.stringify(line));
  });
});

test('BLEU, ROUGE-L and CIDEr-D equal pycocoevalcap to 1e-9', () => {
  const { images, names, corpus, perImage } = golden<{
    images: Array<[string[], string]>;
    names: string[];
    corpus: number[];
    perImage: number[][];
  }>('captions');
  const scores = scoreCaptions(
    new Map(images.map(([references], i) => [i, references])),
    new Map(images.map(([, prediction], i) => [i, prediction])),
  );
  names.forEach((name, k) => {
    if (name === 'METEOR') return; // needs its tables, see meteor.test.ts
    const figure = name as 'CIDEr';
    assert.ok(Math.abs(scores[figure] - corpus[k]!) < 1e-9, `${name} of the corpus`);
    scores.perItem.forEach((item, i) => {
      assert.ok(Math.abs(item[figure] - (perImage[i]?.[k] as number)) < 1e-9, `${name} of image ${i}`);
    });
  });
});

for (const reader of ['official', 'always', 'evalai'] as const) {
  test(`VQA accuracy, reader ${reader}`, () => {
    const { annotations, answers: texts, scores } = answers.vqa;
    const byId = new Map(annotations.map(({ id }, i) => [id, texts[i]!]));
    const got = scoreVqa(annotations, byId, { reader });
    assert.deepEqual(
      got.perItem.map(({ accuracy, normalized }) => [accuracy, normalized]),
      scores[reader].perItem,
    );
    const means: Record<string, number> = { all: got.accuracy };
    for (const [type, value] of Object.entries(got.accuracyByAnswerType)) means[`a:${type}`] = value;
    for (const [type, value] of Object.entries(got.accuracyByQuestionType)) means[`q:${type}`] = value;
    assert.deepEqual(means, scores[reader].means);
  });
}

for (const reader of ['official', 'lmms-eval'] as const) {
  test(`POPE, reader ${reader}`, () => {
    const { pairs, scores } = answers.pope;
    const { perItem, ...figures } = scorePope(
      pairs.map(([label]) => label),
      pairs.map(([, answer]) => answer),
      { reader },
    );
    assert.deepEqual({ ...figures, parsed: perItem.map(({ parsed }) => parsed) }, scores[reader]);
  });

  test(`MME, reader ${reader}`, () => {
    const { pairs, scores } = answers.mme;
    const questions = pairs.map(([label, answer]) => ({ label, answer }) as MmeQuestion);
    const { perItem, ...figures } = scoreMmeSubtask(questions, { reader });
    assert.deepEqual({ ...figures, parsed: perItem.map(({ parsed }) => parsed) }, scores[reader]);
  });
}

for (const reader of ['exact', '2023'] as const) {
  test(`MMBench, reader ${reader}`, () => {
    const { rows, answers: texts, scores } = answers.mmbench;
    const byIndex = new Map(rows.map(({ index }, i) => [index, texts[i]!]));
    const { perItem, circular, vanilla } = scoreMmbench(rows, byIndex, { reader });
    perItem.forEach(({ parsed }, i) => {
      assert.equal(parsed, scores[reader].parsed[i], JSON.stringify([texts[i], rows[i]?.options]));
    });
    assert.deepEqual({ circular, vanilla }, { circular: scores[reader].circular, vanilla: scores[reader].vanilla });
  });
}

for (const reader of ['shikra', 'lmms-eval'] as const) {
  test(`REC, reader ${reader}`, () => {
    const { targets, answers: texts } = answers.rec;
    const scores = answers.rec.scores[reader];
    const { accuracy, failed, perItem } = scoreRec(targets, texts, { reader });
    perItem.forEach(({ box, iou }, i) => {
      assert.deepEqual([box, iou], [scores.perItem[i]?.[0], scores.perItem[i]?.[1] ?? 0], texts[i]);
    });
    assert.deepEqual({ accuracy, failed }, { accuracy: scores.accuracy, failed: scores.failed });
  });
}

for (const reader of ['official', 'llava', 'lmms-eval', 'shikra'] as const) {
  test(`GQA, reader ${reader}`, () => {
    const { questions, predictions, scores } = answers.gqa;
    const byId = new Map(questions.map(({ id }, i) => [id, predictions[i]!]));
    const { accuracy, perItem } = scoreGqa(questions, byId, { reader });
    assert.deepEqual(
      { accuracy, parsed: perItem.map(({ parsed }) => parsed), hits: perItem.map(({ hit }) => hit) },
      scores[reader],
    );
  });
}

test('ScienceQA', () => {
  const { problems, texts, scores } = answers.scienceqa;
  const byId = new Map(problems.flatMap(({ id }, i) => (texts[i] === null ? [] : [[id, texts[i]!] as const])));
  const { accuracy, perItem, missing } = scoreScienceQa(problems, byId);
  assert.deepEqual(
    { accuracy, parsed: perItem.map(({ parsed }) => parsed), hits: perItem.map(({ hit }) => hit) },
    scores,
  );
  assert.equal(missing, texts.filter((text) => text === null).length);
});

test('MMVP', () => {
  const { labels, answers: texts, scores } = answers.mmvp;
  const { perItem, accuracy, pairAccuracy } = scoreMmvp(labels, texts);
  assert.deepEqual({ parsed: perItem.map(({ parsed }) => parsed), accuracy, pairAccuracy }, scores);
});
