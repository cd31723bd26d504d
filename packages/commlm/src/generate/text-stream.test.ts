/** Stop strings across token borders, held-back text, and nothing lost or doubled. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TextStream, type TokenDecoder } from './text-stream.js';

/** A decoder whose token i is the i-th piece. */
function pieces(...texts: string[]): { decoder: TokenDecoder; ids: number[] } {
  return { decoder: { push: (id) => texts[id] ?? '', end: () => '' }, ids: texts.map((_, i) => i) };
}

function run(texts: string[], stops: string[]): { deltas: string[]; text: string; stopped: boolean } {
  const { decoder, ids } = pieces(...texts);
  const stream = new TextStream(decoder, stops);
  const deltas = ids.map((id) => stream.push(id));
  deltas.push(stream.end());
  assert.equal(deltas.join(''), stream.text);
  return { deltas, text: stream.text, stopped: stream.stopped };
}

test('text without stop strings streams piece by piece', () => {
  assert.deepEqual(run(['The', ' answer', ' is yes.'], []).deltas, ['The', ' answer', ' is yes.', '']);
});

test('a stop string across three tokens ends the answer before it', () => {
  const { text, stopped } = run(['yes', ' U', 'SE', 'R: more', ' text'], ['USER:']);
  assert.equal(text, 'yes');
  assert.equal(stopped, true);
});

test('text that only looked like a stop string comes out in full', () => {
  const { deltas, text } = run(['go US', 'E', 'FUL'], ['USER:']);
  assert.equal(text, 'go USEFUL');
  assert.equal(deltas[0], 'go');
});

test('held text comes out at the end', () => {
  assert.equal(run(['abc US'], ['USER:']).text, 'abc US');
});

test('the earliest of several stop strings wins, and empty ones are ignored', () => {
  assert.equal(run(['one two three'], ['three', 'two', '']).text, 'one');
});

test('every split of a text gives the same answer', () => {
  const text = 'A dog [0.1,0.2,0.3,0.4]. USER: and ASSISTANT: so on';
  for (const stops of [[], ['USER:'], ['ASSISTANT', 'USERS']]) {
    const whole = run([text], stops).text;
    for (let i = 0; i < text.length; i++) {
      for (let j = i; j < text.length; j += 3) {
        assert.equal(run([text.slice(0, i), text.slice(i, j), text.slice(j)], stops).text, whole);
      }
    }
  }
});

test('white space around the answer is no part of it, inside it is kept', () => {
  const { deltas, text } = run([' ', ' A', ' dog', '. ', '\n', 'It ', ' runs', ' ', ' '], []);
  assert.equal(text, 'A dog. \nIt  runs');
  assert.deepEqual(deltas, ['', 'A', ' dog', '.', '', ' \nIt', '  runs', '', '', '']);
});
