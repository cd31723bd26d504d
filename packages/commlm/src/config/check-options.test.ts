/** Options that nobody knows: every public function that takes options refuses them by name, with the nearest known one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeWorld } from '../data.js';
import { compareResults, evaluate, evaluateWorld, runEval, scoreFiles } from '../eval.js';
import { answerFile, convertModel, decodeImage, drawBoxes, extractFeatures, loadModel, pullModel } from '../index.js';
import { anything, type Check, checkOptions } from './check-options.js';
import { CommError } from './errors.js';

const pixels = { width: 1, height: 1, data: new Uint8Array(3) };

/** Each function with a slip in its options; nothing else of them is right, as the slip is told first. */
const SLIPS: readonly [name: string, call: (options: never) => unknown, slip: string, meant: string][] = [
  ['loadModel', (options) => loadModel(undefined, options), 'dtyp', 'dtype'],
  ['answerFile', (options) => answerFile({} as never, 'in', 'out', options), 'maxTokens', 'maxNewTokens'],
  ['writeWorld', (options) => writeWorld(options), 'styl', 'style'],
  ['evaluate', (request) => evaluate(request), 'benchmark', 'benchmarks'],
  ['runEval', (options) => runEval(['pope'], options), 'limt', 'limit'],
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
      message: new RegExp(`ha(s|ve) a key "${slip}" that is not known \\(did you mean "${meant}"\\?\\)\\.$`),
      fix: `Write "${meant}".`,
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
  assert.throws(() => check({ size: 3 }), {
    message: 'size is 3, but it must be an even number.',
    fix: 'Give an even number.',
  });
  assert.throws(() => check({ colour: 1 }), { message: /\(known are size, name\)\.$/, fix: 'Leave it out.' });
  assert.throws(() => check({ toString: 1 }), { message: /"toString" that is not known/ });
  for (const given of [null, 'text', [], 5]) assert.throws(() => check(given as never), { code: 'options/unknown' });
});

test('what is missing is named, and a slip is told before it', () => {
  const as = { what: 'The request', needed: ['size'], fix: 'Give {size}.' };
  const checks = { size: even, name: anything };
  assert.throws(() => checkOptions({ name: 1 }, checks, as), {
    message: 'The request has no "size".',
    fix: 'Give {size}.',
  });
  assert.throws(
    () => checkOptions({ siz: 2 } as never, checks, as),
    /key "siz" that is not known \(did you mean "size"\?\)/,
  );
});

test('an error shows its way out wherever it is written as a text', () => {
  const error = new CommError('It is broken.', { code: 'test/broken', fix: 'Mend it.' });
  assert.equal(`${error}`, 'CommError: It is broken. Mend it.');
  assert.equal(String(new CommError('It is broken.', { code: 'test/broken' })), 'CommError: It is broken.');
});
