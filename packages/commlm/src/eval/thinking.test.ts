/** Thinking is taken away whole, and what remains is the answer; thinking that does not end leaves none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutThinking } from './thinking.js';

const answered: ReadonlyArray<readonly [text: string, answer: string]> = [
  ['<think>Is there a dog? No idea.</think>\n\nYes', 'Yes'],
  ['<think>\n</think>Yes', 'Yes'],
  ['  <THINK >a</Think > no ', 'no'],
  ['<thinking>a cat, 3 < 4</thinking>[0.1,0.2,0.3,0.4]', '[0.1,0.2,0.3,0.4]'],
  // The opening tag stood in the prompt.
  ['No, wait. It may be there.</think>Yes.', 'Yes.'],
  ['one</think>two</think>three', 'three'],
  // Blocks in blocks, several blocks, and an answer before.
  ['<think>a <think>no</think> b</think>yes', 'yes'],
  ['<think>a <think>b</think>yes', 'yes'],
  ['<think>no</think>ye<think>no</think>s', 'yes'],
  ['Yes <think>I hope so</think>', 'Yes'],
  ['\u25c1think\u25b7no\u25c1/think\u25b7 yes', 'yes'],
  ['[THINK]no[/THINK]yes', 'yes'],
  ['<seed:think>no</seed:think>yes', 'yes'],
  ['<thinking>no<think>no</think>no</thinking>yes', 'yes'],
  ['<think time="3">no</think>yes', 'yes'],
  ['< think >no</ think >yes', 'yes'],
  ['<antThinking>no</antThinking>yes', 'yes'],
  ['[think]no[/think]yes', 'yes'],
  ['<|START_THINKING|>no<|END_THINKING|>yes', 'yes'],
  ['<|begin_of_thought|>no<|end_of_thought|>\nyes', 'yes'],
  ['<|channel|>analysis<|message|>no<|end|><|start|>assistant<|channel|>final<|message|>yes', 'yes'],
  ['<unused94>thought\nno<unused95>yes', 'yes'],
  ['<think>no</think>\n<answer>Yes</answer>', 'Yes'],
  ['<think>no</think><answer> yes', 'yes'],
];

test('finished thinking is cut', () => {
  for (const [text, answer] of answered) {
    assert.deepEqual(cutThinking(text), { text: answer, found: true, unfinished: false }, text);
  }
});

test('thinking that does not end leaves no answer', () => {
  for (const text of [
    '<think>yes',
    'Sure. <think>yes',
    '<think>a</think>yes<think>no',
    '<thinking>\nThe answer is yes.',
    '<think time="3">yes',
    '<|START_THINKING|>yes',
    '<|channel|>analysis<|message|>yes',
  ]) {
    assert.deepEqual(cutThinking(text), { text: '', found: true, unfinished: true }, text);
  }
});

test('texts without thinking stay as they are, blanks included', () => {
  for (const text of [
    ' yes\n',
    'I think so',
    '<answer>yes</answer>',
    'a < b > c',
    '<thinker>yes',
    '[thinking]',
    '<|image|>yes',
    'thinking',
    '<b>think</b>',
    '',
  ]) {
    assert.deepEqual(cutThinking(text), { text, found: false, unfinished: false }, text);
  }
});
