/** Options that nobody knows: every public function that takes options refuses them by name, with the nearest known one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeWorld } from '../data.js';
import { compareResults, evaluateWorld, scoreFiles } from '../eval.js';
import { answerFile, convertModel, decodeImage, drawBoxes, extractFeatures, loadModel, pullModel } from '../index.js';
import { anything, type Check, checkOptions } from './check-options.js';

const pixels = { width: 1, height: 1, data: new Uint8Array(3) };

/** Each function with a slip in its options; nothing else of them is right, as the slip is told first. */
const SLIPS: readonly [name: string, call: (options: never) => unknown, slip: string, meant: string][] = [
  ['loadModel', (options) => loadModel(undefined, options), 'dtyp', 'dtype'],
  ['answerFile', (options) => answerFile({} as never, 'in', 'out', options), 'maxTokens', 'maxNewTokens'],
  ['writeWorld', (options) => writeWorld(options), 'styl', 'style'],
  ['evaluateWorld', (options) => evaluateWorld({} as never, options), 'batchsize', 'batchSize'],
  ['extractFeatures', (options) => extractFeatures(pixels, options), 'level', 'levels'],
  ['decodeImage', (options) => decodeImage('a.png', options), 'rawOrientaton', 'rawOrientation'],
  ['drawBoxes', (options) => drawBoxes(pixels, [], options), 'fromat', 'format'],
  ['pullModel', (options) => pullModel('org/name', options), 'revison', 'revision'],
  ['convertModel', (options) => convertModel(options), 'modle', 'model'],
  ['scoreFiles', (options) => scoreFiles('pope', options), 'prediction', 'predictions'],
  ['compareResults', (options) => compareResults(options), 'benchmark', 'benchmarks'],
];

for (const [name, call, slip, meant] of SLIPS) {
  test(`${name} refuses the option ${slip}`, async () => {
    await assert.rejects(async () => call({ [slip]: 1 } as never), {
      name: 'CommError',
      message: new RegExp(`ha(s|ve) a key "${slip}" that is not known`),
      fix: `Did you mean "${meant}"?`,
      exitCode: 2,
    });
  });
}

const even: Check = (value) => (Number(value) % 2 === 0 ? undefined : 'an even number');
const check = (given: object): void => checkOptions(given, { size: even, name: anything }, { what: 'The options' });

test('what is right passes, undefined included', () => {
  for (const given of [{}, { size: 4 }, { size: undefined, name: undefined }]) check(given);
});

test('what is wrong is one sentence and a way out', () => {
  assert.throws(() => check({ size: 3 }), { message: 'size is 3.', fix: 'It must be an even number.' });
  assert.throws(() => check({ colour: 1 }), { fix: 'Known are size, name.' });
  assert.throws(() => check({ toString: 1 }), { message: /"toString" that is not known/ });
  for (const given of [null, 'text', [], 5]) assert.throws(() => check(given as never), { code: 'options/unknown' });
});
