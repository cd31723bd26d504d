/** Picture arguments that are none: a question in front of its picture, or without quotes. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkOrder } from './pictures.js';

const folder = mkdtempSync(join(tmpdir(), 'commlm-order-'));
after(() => rmSync(folder, { recursive: true }));
const picture = join(folder, 'dog.png');
writeFileSync(picture, '');

test('a question before its picture, or without quotes, is shown as it should be', () => {
  const cases: readonly [args: string[], word: string, command: string][] = [
    [['Is there a dog?', picture], 'Is there a dog?', `${picture} "Is there a dog?"`],
    [[picture, 'Is', 'there', 'a', 'dog'], 'Is', `${picture} "Is there a dog"`],
    [['Is', 'there', 'a', 'dog', picture], 'Is', `${picture} "Is there a dog"`],
    [[picture, 'gone.png', 'Is', 'it', 'red'], 'Is', `${picture} gone.png "Is it red"`],
  ];
  for (const [args, word, command] of cases) {
    assert.throws(() => checkOrder(args), {
      message: `"${word}" is no picture.`,
      fix: `The picture comes first; put the question in quotes: commlm ask ${command}`,
      exitCode: 2,
    });
  }
});

test('pictures, missing ones, folders, stdin and addresses pass', () => {
  for (const args of [
    [picture, 'Is there a dog?'],
    [picture, picture, 'dog'],
    ['gone.jpg', 'What?'],
    [picture, 'gone.jpg', 'What?'],
    [folder, 'What?'],
    ['-', 'What?'],
    [picture, 'https://a.b/c', 'What?'],
    ['nowhere', 'What?'],
  ]) {
    assert.doesNotThrow(() => checkOrder(args), args.join(' '));
  }
});
