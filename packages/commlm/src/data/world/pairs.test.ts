/** Questions about two pictures of the world. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import {
  isPresent,
  loadSpriteBank,
  makeScene,
  nounOf,
  PAIR_TYPES,
  pairTurnsFor,
  pluralOf,
  type Scene,
} from './index.js';

describe('questions about two pictures', () => {
  let pairs: (readonly [Scene, Scene])[];

  before(async () => {
    const bank = await loadSpriteBank();
    const scene = (seed: number): Scene => makeScene(seed, { bank, split: 'test', size: 128 });
    pairs = Array.from({ length: 150 }, (_, i) => [scene(2 * i), scene(2 * i + 1)] as const);
  });

  it('are the same for the same scenes and seed, each asked once', () => {
    for (const [i, pair] of pairs.slice(0, 20).entries()) {
      const turns = pairTurnsFor(pair, i, { max: 5 });
      assert.deepEqual(turns, pairTurnsFor(pair, i, { max: 5 }));
      assert.equal(new Set(turns.map(({ question }) => question)).size, turns.length);
    }
  });

  it('come in every type, with yes and no, first and second, both and neither', () => {
    const turns = pairs.flatMap((pair, i) => pairTurnsFor(pair, i, { max: 5 }));
    assert.deepEqual(new Set(turns.map(({ type }) => type)), new Set(PAIR_TYPES));
    const answers = new Set(turns.map(({ short }) => short));
    for (const short of ['yes', 'no', 'the first', 'the second', 'both', 'neither'])
      assert.ok(answers.has(short), short);
  });

  it('name the picture that shows the thing', () => {
    let checked = 0;
    for (const [i, pair] of pairs.entries()) {
      for (const turn of pairTurnsFor(pair, i, { max: 3, types: ['which'] })) {
        // Names without colours, found again by their words in the question.
        const shown = pair.map(({ objects }) =>
          objects.find(({ noun, color }) => color === undefined && turn.question.includes(` ${noun}`)),
        );
        const noun = shown.find((object) => object !== undefined)?.noun;
        if (noun === undefined) continue;
        const [first, second] = pair.map((scene) => isPresent(scene, { noun }));
        assert.equal(turn.short, first && second ? 'both' : first ? 'the first' : 'the second', turn.question);
        checked++;
      }
    }
    assert.ok(checked > 50);
  });

  it('count over both pictures', () => {
    let checked = 0;
    for (const [i, pair] of pairs.entries()) {
      for (const turn of pairTurnsFor(pair, i, { max: 2, types: ['count'] })) {
        const all = pair.flatMap(({ objects }) => objects);
        const plain = all.filter(({ noun, color }) => color === undefined && turn.question.includes(pluralOf(noun)));
        if (plain.length === 0) continue;
        assert.equal(turn.short, String(plain.length), `${turn.question} ${nounOf(plain[0]!.noun).plural}`);
        checked++;
      }
    }
    assert.ok(checked > 30);
  });
});
