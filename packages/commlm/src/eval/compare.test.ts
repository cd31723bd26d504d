/**
 * Two folders of results: what differs is found, what cannot be compared is refused with the reason, and the page shows it.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { encodePicture } from '../images/draw.js';
import { type CompareRequest, compareResults } from './compare.js';
import { chooseSamples } from './report/cards.js';
import { writeReport } from './report/write-report.js';
import type { BenchmarkResult, EvalResults, EvalSample } from './results.js';

const root = mkdtempSync(join(tmpdir(), 'commlm-compare-'));
after(() => rmSync(root, { recursive: true }));

const ANSWERS_A = ['Yes', 'no', 'Yes', 'no', 'maybe <b>"so"</b> & not'];
const ANSWERS_B = ['Yes', 'Yes', 'no', 'no', 'no'];

function sampleOf(answer: string, i: number): EvalSample {
  const label = i % 2 === 0 ? 'yes' : 'no';
  const parsed = /^yes/i.test(answer) ? 'yes' : /^no/.test(answer) ? 'no' : null;
  const hit = parsed === label ? 1 : 0;
  return {
    id: `random/${i}`,
    unit: `random/${i}`,
    group: 'random',
    picture: i === 1 ? 'gone.png' : 'images/a.png',
    prompt: `Is there a <thing> ${i}?`,
    answer,
    parsed,
    target: label,
    correct: hit === 1,
    score: hit,
    figures: { hit, truePositive: 0, falsePositive: 0, falseNegative: 0, yes: parsed === 'yes' ? 1 : 0 },
    ...(i === 0 ? { boxes: { target: [1, 1, 20, 20], answer: [2, 2, 30, 18] } } : {}),
  };
}

let numFolders = 0;

function folderOf(answers: readonly string[], changes: Partial<BenchmarkResult> = {}): string {
  const folder = join(root, String(numFolders++));
  mkdirSync(folder);
  const samples = answers.map(sampleOf);
  const accuracy = samples.reduce((sum, { score }) => sum + score, 0) / samples.length;
  const benchmark: BenchmarkResult = {
    benchmark: 'pope',
    reader: 'official',
    count: samples.length,
    total: samples.length,
    partial: false,
    published: false,
    figures: { accuracy: { value: accuracy, low: 0, high: 1 } },
    numCut: 0,
    unanswered: null,
    thinking: { count: 0, cut: true },
    clusters: 2,
    prompt: { template: '<question>', answer: 'as-is' },
    maxNewTokens: 8,
    data: [{ role: 'random', path: 'pope_random.jsonl', sha256: 'ab' }],
    samples: 'samples_pope.jsonl',
    notes: [],
    ...changes,
  };
  const results: EvalResults = {
    version: 1,
    run: {
      model: { kind: 'endpoint', name: 'a <model>', url: 'http://localhost/v1' },
      prompts: { name: 'general', version: 1 },
      decoding: { temperature: 0, topP: 1, seed: 0 },
      bootstrap: { resamples: 1000, seed: 0, level: 0.95 },
      blind: false,
      limit: null,
      dataFolder: '../data',
      commlm: '0.0.0',
      commit: null,
    },
    benchmarks: [benchmark],
  };
  writeFileSync(join(folder, 'results.json'), JSON.stringify(results));
  writeFileSync(join(folder, 'samples_pope.jsonl'), samples.map((sample) => `${JSON.stringify(sample)}\n`).join(''));
  return folder;
}

const OPTIONS = { resamples: 500, seed: 0, level: 0.95 };
const compare = (a: string, b: string, more: Partial<CompareRequest> = {}): ReturnType<typeof compareResults> =>
  compareResults({ a, b, ...OPTIONS, ...more });

test('compare: differences, McNemar and what changed', async () => {
  const [a, b] = [folderOf(ANSWERS_A), folderOf(ANSWERS_B)];
  const [pope] = (await compare(a, b)).benchmarks;
  const { difference, low, high, p } = pope?.figures['accuracy'] ?? assert.fail();
  assert.ok(Math.abs(difference + 0.4) <= 2 * Number.EPSILON); // two shares, each rounded once
  assert.ok((low as number) < -0.4 && (high as number) >= -0.4 && (p as number) <= 1);
  assert.deepEqual(pope?.mcnemar, { units: 5, onlyA: 2, onlyB: 0, p: 0.5 });
  assert.deepEqual(
    pope?.changes.map(({ kind, id, a: one, b: other }) => [kind, id, one.answer, other.answer]),
    [
      ['lost', 'random/1', 'no', 'Yes'],
      ['lost', 'random/2', 'Yes', 'no'],
    ],
  );
  assert.deepEqual((await compare(b, b)).benchmarks[0]?.changes, []);
});

test('compare: questions about one picture count together', async () => {
  // Ten questions about one picture, all lost, are one piece of evidence: its sign may as well be the other one.
  const all = (answer: string): string[] => Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? answer : 'no'));
  const [pope] = (await compare(folderOf(all('Yes')), folderOf(all('no')))).benchmarks;
  assert.equal(pope?.clusters, 2);
  assert.deepEqual(pope?.mcnemar, { units: 20, onlyA: 10, onlyB: 0, p: 1 });
  assert.ok(pope?.notes.some((line) => /2 pictures in the smallest part/.test(line)));
});

test('compare: what cannot be compared is refused with the reason', async () => {
  const a = folderOf(ANSWERS_A);
  const other = (changes: Partial<BenchmarkResult>): string => folderOf(ANSWERS_B, changes);
  const data = [{ role: 'random', path: 'pope_random.jsonl', sha256: 'cd' }];
  await assert.rejects(compare(a, other({ data })), /the data differ, in their file of random/);
  await assert.rejects(compare(a, other({ reader: 'lmms-eval' })), /read as official, the other as lmms-eval/);
  await assert.rejects(compare(a, folderOf(ANSWERS_B.slice(1))), /5 questions here, 4 there/);
  const unanswered = { count: 2, reasons: { 'no content': 2 }, alsoLeftOut: 0 };
  await assert.rejects(compare(a, other({ unanswered })), /2 questions have no answer in the second run/);
  await assert.rejects(compare(a, other({ thinking: { count: 1, cut: false } })), /thinking was cut in one and read/);
  assert.equal((await compare(a, other({ thinking: { count: 0, cut: false } }))).benchmarks.length, 1);
  await assert.rejects(compare(a, other({ benchmark: 'mme' })), /no benchmark in common/);
  await assert.rejects(compare(a, other({}), { benchmarks: ['gqa'] }), /gqa cannot be compared/);
  await assert.rejects(compare(a, other({ count: 9, total: 9 })), /5 questions here, 9 there/);
  await assert.rejects(compare(a, join(root, 'none')), /There is no file .*results\.json/);
  writeFileSync(join(a, 'results.json'), '{"version": 7}');
  await assert.rejects(compare(a, a), /not a results file of version 1/);
});

test('report: one page with pictures, boxes and escaped texts, failures first', async () => {
  mkdirSync(join(root, 'data', 'images'), { recursive: true });
  const picture = { width: 64, height: 32, data: new Uint8Array(64 * 32 * 3).fill(90) };
  writeFileSync(join(root, 'data', 'images', 'a.png'), await encodePicture(picture));
  const path = await writeReport(folderOf(ANSWERS_A), { writeFile: writeFileSync });
  const page = readFileSync(path, 'utf8');
  assert.equal(page.match(/<article /g)?.length, 5);
  assert.match(page, /<article data-outcome="unreadable"[\s\S]*<article data-outcome="right"/);
  assert.match(page, /maybe &lt;b&gt;&quot;so&quot;&lt;\/b&gt; &amp; not/);
  assert.match(page, /src="data:image\/webp;base64,/);
  assert.match(page, /<svg viewBox="0 0 64 32"[^>]*><rect class="target" x="1" y="1" width="19" height="19"\/>/);
  assert.match(page, /the picture gone\.png is not there/);
  assert.doesNotMatch(page, /(src|href)="(?!data:|#)/);
});

test('report: of many samples the failures come first, and some that are right are kept', () => {
  const samples = Array.from({ length: 40 }, (_, i) => sampleOf(i < 30 ? 'maybe' : i % 2 === 0 ? 'Yes' : 'no', i));
  const chosen = chooseSamples(samples, 20);
  assert.equal(chosen.length, 20);
  assert.equal(chosen.filter(({ correct }) => correct).length, 5);
  assert.equal(chooseSamples(samples.slice(28), 8).filter(({ correct }) => !correct).length, 2);
});
