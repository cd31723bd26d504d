/** Mixtures of data sets: order, shares, and epochs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../config/json.js';
import { concat, MixtureConfig, portion, set, setsOf } from '../config/mixture.js';
import { type Draw, Mixture } from './mixture.js';
import { Permutation } from './permutation.js';

const SIZES = new Map([
  ['a', 1000],
  ['b', 300],
  ['c', 7],
]);

const open = (config: MixtureConfig, seed = 1, shuffle = true): Mixture =>
  new Mixture(config, SIZES, { seed, shuffle });
const take = (mixture: Mixture, from: number, to: number): Draw[] =>
  Array.from({ length: to - from }, (_, i) => mixture.at(from + i));
const timesOf = (draws: readonly Draw[], name: string): number[] => {
  const times = new Array<number>(SIZES.get(name)!).fill(0);
  for (const { set: from, index } of draws) if (from === name) times[index]!++;
  return times;
};

test('a permutation has every number once, in another order for another key', () => {
  for (const length of [1, 2, 3, 5, 64, 1000, 4097]) {
    const order = new Permutation(length, 3);
    const places = Array.from({ length }, (_, place) => order.at(place));
    assert.deepEqual(
      [...places].sort((x, y) => x - y),
      [...places.keys()],
      `length ${length}`,
    );
  }
  const order = new Permutation(1000, 3);
  const places = Array.from({ length: 1000 }, (_, place) => order.at(place));
  assert.ok(places.filter((value, place) => value === place).length < 10);
  assert.ok(places.filter((value, place) => Math.abs(value - places[place - 1]!) === 1).length < 15);
  assert.notDeepEqual(
    places,
    places.map((_, place) => new Permutation(1000, 4).at(place)),
  );
  // Far beyond 32 bits.
  const long = new Permutation(2 ** 41, 5);
  assert.equal(new Set(Array.from({ length: 1000 }, (_, place) => long.at(place))).size, 1000);
});

test('an epoch has every sample once, and the next one another order', () => {
  const mixture = open(concat('a', 'b', 'c'));
  assert.equal(mixture.length, 1307);
  const first = take(mixture, 0, 1307);
  for (const name of SIZES.keys()) assert.ok(timesOf(first, name).every((times) => times === 1));
  const second = take(mixture, 1307, 2614);
  for (const name of SIZES.keys()) assert.ok(timesOf(second, name).every((times) => times === 1));
  const places = (draws: readonly Draw[]): string[] => draws.map(({ set: from, index }) => `${from}${index}`);
  assert.notDeepEqual(places(first), places(second));
  assert.deepEqual([first[0]!.epoch, second[0]!.epoch], [0, 1]);
  // What is drawn anew each time differs between the epochs.
  assert.ok(new Set([...first, ...second].map(({ draw }) => draw)).size > 2600);
});

test('without shuffling the order is that of the tree', () => {
  const mixture = open(concat('c', 'b'), 1, false);
  assert.deepEqual(
    take(mixture, 5, 9).map(({ set: from, index }) => `${from}${index}`),
    ['c5', 'c6', 'b0', 'b1'],
  );
});

test('the stream depends on seed and place alone', () => {
  const config: MixtureConfig = {
    kind: 'interleave',
    parts: [
      { share: 0.5, of: portion(0.5, 'a') },
      { share: 0.5, of: concat('b', portion(2.5, 'c')) },
    ],
    stop: 'first_exhausted',
  };
  const whole = take(open(config), 0, 2000);
  for (const start of [1, 17, 256, 999, 1500]) assert.deepEqual(take(open(config), start, 2000), whole.slice(start));
  assert.notDeepEqual(take(open(config, 2), 0, 2000), whole);
});

test('a portion is that share, the same in every epoch, and may be more than all', () => {
  const tenth = open(portion(0.1, 'a'));
  assert.equal(tenth.length, 100);
  const indices = (from: number): number[] =>
    take(tenth, from, from + 100)
      .map(({ index }) => index)
      .sort((x, y) => x - y);
  assert.equal(new Set(indices(0)).size, 100);
  assert.deepEqual(indices(0), indices(100));
  const more = open(portion(2.5, 'b'));
  assert.equal(more.length, 750);
  const times = timesOf(take(more, 0, 750), 'b');
  assert.ok(times.every((count) => count <= 3));
  assert.equal(
    times.reduce((sum, count) => sum + count, 0),
    750,
  );
  assert.throws(() => open(portion(0.1, 'c')), { code: 'data/empty-mixture' });
});

test('epochs repeat evenly: nothing comes twice more often than anything else', () => {
  const mixture = open({ kind: 'epochs', epochs: 2.5, of: set('b') });
  assert.equal(mixture.length, 750);
  const times = timesOf(take(mixture, 0, 750), 'b');
  assert.equal(times.filter((count) => count === 2).length, 150);
  assert.equal(times.filter((count) => count === 3).length, 150);
});

test('interleaved parts come by their shares, and the list ends as told', () => {
  const parts = [
    { share: 0.1, of: set('b') },
    { share: 0.9, of: set('a') },
  ];
  const first = open({ kind: 'interleave', parts, stop: 'first_exhausted' }, 3, false);
  const counts = first.counts();
  assert.equal(counts.get('a'), 1000, 'the large share runs out first');
  assert.ok(Math.abs(counts.get('b')! / first.length - 0.1) < 0.03, `share ${counts.get('b')! / first.length}`);
  // Each part is walked in order.
  const b = take(first, 0, first.length).filter(({ set: from }) => from === 'b');
  assert.deepEqual(
    b.map(({ index }) => index),
    b.map((_, place) => place),
  );
  const all = open({ kind: 'interleave', parts, stop: 'all_exhausted' }, 3, false);
  const draws = take(all, 0, all.length);
  assert.ok(
    timesOf(draws, 'a').every((times) => times >= 2),
    'the other one was begun again',
  );
  assert.ok(timesOf(draws, 'b').every((times) => times === 1));
  assert.deepEqual(take(all, all.length - 1, all.length)[0]!.set, 'b', 'the last sample ends the list');
});

test('a mixture is checked: names of sets, keys, numbers', () => {
  assert.throws(() => open(set('d')), { code: 'data/unknown-set', message: /"d"/ });
  assert.throws(() => parseConfig(MixtureConfig, { kind: 'portion', portion: 0, of: { kind: 'set', set: 'a' } }), {
    code: 'config/invalid',
  });
  assert.throws(() => parseConfig(MixtureConfig, { kind: 'concat', parts: [{ kind: 'set', set: 'a', share: 1 }] }), {
    code: 'config/unknown-key',
  });
  assert.deepEqual(setsOf(concat('a', portion(2, concat('b', 'a')))), ['a', 'b']);
});
