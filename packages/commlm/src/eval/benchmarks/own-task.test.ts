/** What is wrong with a file of a task, told by the field and the nearest known name. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { findTasks } from './find-tasks.js';
import { readTask } from './own-task.js';

const folder = mkdtempSync(join(tmpdir(), 'commlm-task-'));
after(() => rmSync(folder, { recursive: true }));

const TASK = { name: 'animals', metric: 'yes-no', prompt: '<question>', data: 'animals.jsonl' };
const fileOf = (task: object): string => {
  const path = join(folder, 'task.json');
  writeFileSync(path, JSON.stringify(task));
  return path;
};
const read = (task: object) => readTask(fileOf(task), ['pope']);

test('a field that is misspelt is told before the one that is missing for it', () => {
  const { prompt, ...rest } = TASK;
  const cases: readonly [task: object, message: RegExp, fix: string][] = [
    [{ ...rest, promt: prompt }, /task\.json has a field "promt" that is not known\.$/, 'Did you mean "prompt"?'],
    [
      { ...TASK, fields: { anser: 'truth' } },
      /task\.json has a field "fields\.anser" that is not known\.$/,
      'Did you mean "answer"?',
    ],
    [rest, /"prompt" of .*task\.json is missing\.$/, 'Give it a string.'],
    [
      { ...TASK, metric: 'yesno' },
      /"metric" of .*task\.json is not valid: expected one of "exact-match", .*"yes-no"/,
      'Did you mean "yes-no"?',
    ],
    [
      { ...TASK, name: 'Big Animals' },
      /"name" of .*is not valid: small letters, digits, - and _, at most 64\.$/,
      'Give a value in that range.',
    ],
    [{ ...TASK, data: 5 }, /"data" of .*task\.json takes a string, not 5\.$/, 'Give a value of that type.'],
  ];
  for (const [task, message, fix] of cases) {
    assert.throws(() => read(task), { name: 'CommError', code: 'eval/task', message, fix, exitCode: 2 });
  }
  assert.equal(read(TASK).name, 'animals');
});

test('a name that is nearly one of a benchmark is told', () => {
  const message = 'There is no benchmark "pop"; did you mean "pope"?';
  assert.throws(() => findTasks(['pop']), { code: 'eval/benchmark', message, fix: /^Choose from refcoco, .*world/ });
  assert.throws(() => findTasks(['imagenet-of-everything']), {
    message: 'There is no benchmark "imagenet-of-everything".',
  });
});
