/**
 * Sampling: greedy ties, seeds, the distribution drawn from, the nucleus, values that are not numbers, and many rows at once.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scope, tensor } from '@commlm/torch';
import { checkSampling, drawTokens, GREEDY, NOT_FINITE, type Random, type Sampling, seededRandom } from './sampling.js';

const f32 = (...values: number[]): Float32Array => Float32Array.from(values);

/** One row alone. */
function sampleToken(logits: Float32Array, sampling: Sampling, random: Random): number {
  const uniform = sampling.temperature > 0 ? random() : 0;
  return scope(() => drawTokens(tensor(logits).unsqueeze(0), [{ ...sampling, uniform }])[0]!);
}

/** The definition, one number after the other. */
function drawPlainly(logits: Float32Array, { temperature, topP }: Sampling, uniform: number): number {
  const max = Math.max(...logits);
  if (temperature === 0) return logits.indexOf(max);
  const weights = Array.from(logits, (x) => Math.exp((x - max) / temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  let order = weights.map((_, i) => i);
  if (topP < 1) {
    order.sort((x, y) => logits[y]! - logits[x]! || x - y);
    let held = 0;
    order = order.filter((i) => {
      if (held >= topP * total) return false;
      held += weights[i]!;
      return true;
    });
  }
  let left = uniform * order.reduce((sum, i) => sum + weights[i]!, 0);
  return order.find((i) => {
    left -= weights[i]!;
    return left < 0;
  })!;
}

test('rows of different settings are drawn together as each alone, number by number', () => {
  const random = seededRandom(23);
  const settings = [
    { temperature: 0, topP: 1, seed: 0 },
    { temperature: 1, topP: 1, seed: 0 },
    { temperature: 1.5, topP: 0.9, seed: 0 },
    { temperature: 0.3, topP: 0.5, seed: 0 },
    { temperature: 0, topP: 0.9, seed: 0 },
  ];
  for (let round = 0; round < 60; round++) {
    // Halves, so that many logits tie.
    const rows = settings.map(() => Float32Array.from({ length: 300 }, () => Math.round(16 * random()) / 2));
    const draws = settings.map((sampling) => ({ ...sampling, uniform: random() }));
    const data = Float32Array.from(rows.flatMap((row) => [...row]));
    const together = scope(() => drawTokens(tensor(data, { shape: [rows.length, 300] }), draws));
    assert.deepEqual(
      together,
      rows.map((row, i) => drawPlainly(row, settings[i]!, draws[i]!.uniform)),
    );
  }
});

test('greedy takes the first of the largest and draws no random number', () => {
  const never = (): number => assert.fail('greedy decoding drew a random number');
  assert.equal(sampleToken(f32(1, 3, 3, 2), { temperature: 0, topP: 1, seed: 0 }, never), 1);
});

test('masked tokens (-Infinity) are never drawn', () => {
  const random = seededRandom(1);
  const logits = f32(Number.NEGATIVE_INFINITY, 0, Number.NEGATIVE_INFINITY, 0);
  for (let i = 0; i < 200; i++) {
    assert.ok([1, 3].includes(sampleToken(logits, { temperature: 2, topP: 1, seed: 1 }, random)));
    assert.ok([1, 3].includes(sampleToken(logits, { temperature: 2, topP: 0.9, seed: 1 }, random)));
  }
});

test('NaN, +Infinity and an all-masked row give no token', () => {
  for (const logits of [f32(0, Number.NaN), f32(1, Number.POSITIVE_INFINITY), f32(Number.NEGATIVE_INFINITY)]) {
    for (const settings of [GREEDY, { temperature: 1, topP: 1, seed: 0 }, { temperature: 1, topP: 0.5, seed: 0 }]) {
      assert.equal(sampleToken(logits, settings, seededRandom(0)), NOT_FINITE);
    }
  }
});

test('a seed gives the same stream, another seed another one, and numbers lie in [0, 1)', () => {
  const draw = (seed: number): number[] => Array.from({ length: 50 }, seededRandom(seed));
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
  assert.notDeepEqual(draw(1), draw(1 + 2 ** 32));
  const values = Array.from({ length: 20_000 }, seededRandom(3));
  assert.ok(values.every((value) => value >= 0 && value < 1));
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  // Five standard deviations of the mean of uniform numbers, whose variance is 1/12.
  assert.ok(Math.abs(mean - 0.5) < 5 * Math.sqrt(1 / 12 / values.length), `mean ${mean}`);
});

test('temperature sampling draws from softmax(logits / t)', () => {
  const logits = f32(0, 1, 2, -1);
  const temperature = 0.7;
  const weights = [...logits].map((x) => Math.exp(x / temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  const counts = [0, 0, 0, 0];
  const random = seededRandom(11);
  const numDraws = 10_000;
  for (let i = 0; i < numDraws; i++) {
    const token = sampleToken(logits, { temperature, topP: 1, seed: 11 }, random);
    counts[token] = (counts[token] ?? 0) + 1;
  }
  for (const [i, weight] of weights.entries()) {
    const share = weight / total;
    const deviation = Math.sqrt((share * (1 - share)) / numDraws);
    assert.ok(Math.abs((counts[i] ?? 0) / numDraws - share) < 5 * deviation, `token ${i}`);
  }
});

test('top-p keeps the shortest prefix that reaches p, whatever the size of the vocabulary', () => {
  const probabilities = [0.05, 0.4, 0.25, 0.2, 0.1];
  const logits = Float32Array.from([...probabilities.map(Math.log), ...new Array(1000).fill(-40)]);
  const drawn = (topP: number): number[] => {
    const random = seededRandom(5);
    const seen = new Set<number>();
    for (let i = 0; i < 3000; i++) seen.add(sampleToken(logits, { temperature: 1, topP, seed: 5 }, random));
    return [...seen].sort((a, b) => a - b);
  };
  assert.deepEqual(drawn(0.3), [1]);
  assert.deepEqual(drawn(0.6), [1, 2]);
  assert.deepEqual(drawn(0.8), [1, 2, 3]);
  assert.deepEqual(drawn(0.9), [1, 2, 3, 4]);
});

test('settings outside their range are refused by name', () => {
  const base = { temperature: 1, topP: 1, seed: 0 };
  for (const [field, value] of [
    ['temperature', -1],
    ['temperature', Number.NaN],
    ['topP', 0],
    ['topP', 1.1],
    ['seed', 0.5],
  ] as const) {
    assert.throws(() => checkSampling({ ...base, [field]: value }), new RegExp(field));
  }
});
