/** The record of answers: what a kill cuts off is dropped, what belongs to another run is refused. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { AnswerLog, answerKey, firstDifference, readAnswers } from './answer-log.js';

const folder = mkdtempSync(join(tmpdir(), 'commlm-answers-'));
after(() => rmSync(folder, { recursive: true }));

const HEAD = { model: { name: 'm', sha: 'a' }, limit: null };
const answer = (id: number, text: string) => ({ id, answer: text, finishReason: 'stop' });

test('a torn last line is dropped and everything before it is kept', () => {
  const path = join(folder, 'torn.jsonl');
  const log = new AnswerLog(path, HEAD);
  log.append([answer(1, 'one'), { ...answer(1, 'grey'), blind: true }]);
  log.append([answer(2, 'zwei \u2028 \ud83d\ude00')]);
  log.close();
  const whole = readFileSync(path);
  const bytes = Buffer.from(`${JSON.stringify(answer(3, 'drei \ud83d\ude00'))}\n`);
  for (let cut = 1; cut < bytes.length; cut++) {
    writeFileSync(path, Buffer.concat([whole, bytes.subarray(0, cut)]));
    assert.equal(readAnswers(path, HEAD).size, 3);
    const again = new AnswerLog(path, HEAD);
    again.close();
    assert.deepEqual(readFileSync(path), whole);
  }
  const again = new AnswerLog(path, HEAD);
  assert.equal(again.answers.get(answerKey(1, true))?.answer, 'grey');
  again.append([answer(3, 'drei')]);
  again.close();
  assert.equal(readAnswers(path, HEAD).get(answerKey(3, false))?.answer, 'drei');
});

test('a head that a kill cut off is written again', () => {
  const path = join(folder, 'head.jsonl');
  writeFileSync(path, '{"run":{"mod');
  const log = new AnswerLog(path, HEAD);
  log.append([answer(1, 'one')]);
  log.close();
  assert.equal(readAnswers(path, HEAD).size, 1);
});

test('another run is refused with what differs', () => {
  const path = join(folder, 'other.jsonl');
  new AnswerLog(path, HEAD).close();
  const other = { ...HEAD, model: { name: 'm', sha: 'b' } };
  assert.throws(() => new AnswerLog(path, other), /model\.sha was "a" and is "b"/);
  appendFileSync(path, 'no json\n');
  assert.throws(() => readAnswers(path, HEAD), /line 2 is no line/);
  assert.equal(readAnswers(join(folder, 'absent.jsonl'), HEAD).size, 0);
  assert.equal(firstDifference({ a: [1, 2] }, { a: [1, 2] }), undefined);
  assert.equal(firstDifference({ a: 1 }, {}), 'a was 1 and is absent');
});
