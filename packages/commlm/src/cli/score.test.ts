/** `commlm score` as users run it: one JSON document, a table, and errors with their exit codes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const BIN = fileURLToPath(new URL('../../bin/commlm.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'commlm-score-cli-'));
after(() => rmSync(folder, { recursive: true }));

const questions = join(folder, 'questions.jsonl');
const answers = join(folder, 'answers.jsonl');
writeFileSync(questions, '{"question_id": 1, "image": "a.jpg", "text": "Is there a dog?", "label": "yes"}\n');
writeFileSync(answers, '{"question": "Is there a dog?", "answer": "Yes."}\n');

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [BIN, 'score', ...args], { encoding: 'utf8' });
}

test('--json prints one document, with items when asked', () => {
  const { status, stdout } = run('pope', '--predictions', answers, '--annotations', questions, '--json', '--per-item');
  assert.equal(status, 0);
  assert.deepEqual(JSON.parse(stdout), {
    benchmark: 'pope',
    reader: 'official',
    count: 1,
    metrics: { accuracy: 1, precision: 1, recall: 1, f1: 1, yesRatio: 1 },
    notes: [],
    perItem: [{ question_id: 1, parsed: 'yes', hit: true }],
  });
});

test('without --json a table names the reader', () => {
  const { status, stdout } = run('pope', '--predictions', answers, '--annotations', questions, '--reader', 'lmms-eval');
  assert.equal(status, 0);
  assert.match(stdout, /^pope: 1 items, reader lmms-eval\n/);
  assert.match(stdout, /\naccuracy +0\.00 {2}%\n/);
});

test('a bad file is exit code 1 and no figure, a bad option exit code 2', () => {
  writeFileSync(join(folder, 'cut.jsonl'), '{"question": "Is');
  const bad = run('pope', '--predictions', join(folder, 'cut.jsonl'), '--annotations', questions, '--json');
  assert.equal(bad.status, 1);
  assert.match(bad.stderr, /cut\.jsonl, line 1, column \d+: not valid JSON/);
  assert.ok(!bad.stdout.includes('accuracy'));
  const plain = run('pope', '--predictions', join(folder, 'cut.jsonl'), '--annotations', questions);
  assert.deepEqual([plain.status, plain.stdout], [1, '']);
  assert.equal(run('pope', '--predictions', answers).status, 2);
  assert.equal(run('poop', '--predictions', answers).status, 2);
  assert.equal(run('pope', '--predictions', answers, '--annotations', questions, '--reader', 'judge').status, 2);
});
