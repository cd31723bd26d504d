/** Random numbers: equal seeds, own generators, saved states. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { golden, readGolden } from './golden.fixture.js';
import { generator, manualSeed, rand, randint, randn, randperm, rngState, scope, setRngState, zeros } from './index.js';
import { expectClose } from './testing.js';

test('the seed gives PyTorch’s numbers', () => {
  const expected = readGolden().random;
  scope(() => {
    manualSeed(42);
    expectClose(rand([4]), golden(expected.rand), { rtol: 0, atol: 0 });
    assert.deepEqual(randint(0, 1000, [4]).tolist(), expected.randint);
  });
});

test('equal seeds give equal draws of every kind, other seeds others', () => {
  const draw = (seed: number | bigint) =>
    scope(() => {
      manualSeed(seed);
      return [rand([3]), randn([20]), randperm(9), zeros([3]).normal_(), zeros([3]).uniform_()].map((t) => t.tolist());
    });
  assert.deepEqual(draw(1), draw(1));
  assert.notDeepEqual(draw(1), draw(2));
  assert.deepEqual(draw(2n ** 40n), draw(2 ** 40));
});

test('a generator of one’s own does not disturb the default one', () => {
  scope(() => {
    manualSeed(3);
    const expected = [rand([2]).tolist(), rand([2]).tolist()];
    manualSeed(3);
    const first = rand([2]).tolist();
    const own = rand([5], { generator: generator(9) }).tolist();
    assert.deepEqual([first, rand([2]).tolist()], expected);
    assert.deepEqual(rand([5], { generator: generator(9) }).tolist(), own);
  });
});

test('a saved state continues wherever its bytes lie', () => {
  scope(() => {
    manualSeed(5);
    const state = rngState();
    const expected = rand([3]).tolist();
    for (const offset of [1, 4, 8]) {
      const shifted = zeros([state.numel + offset], { dtype: 'u8' }).narrow(0, offset, state.numel);
      shifted.copy_(state);
      setRngState(shifted);
      assert.deepEqual(rand([3]).tolist(), expected);
    }
  });
});

test('a saved state continues with the same numbers', () => {
  scope(() => {
    manualSeed(5);
    randn([3]);
    const state = rngState();
    assert.equal(state.dtype, 'u8');
    const expected = randn([33]).tolist();
    randn([7]);
    setRngState(state);
    assert.deepEqual(randn([33]).tolist(), expected);
    const own = generator(1);
    rand([4], { generator: own });
    const ownState = own.getState();
    const next = rand([4], { generator: own }).tolist();
    own.setState(ownState);
    assert.deepEqual(rand([4], { generator: own }).tolist(), next);
  });
});

test('a state survives its bytes', () => {
  scope(() => {
    const state = rngState();
    const expected = rand([3]).tolist();
    setRngState(state.clone());
    assert.deepEqual(rand([3]).tolist(), expected);
    assert.throws(() => setRngState(zeros([3], { dtype: 'u8' })));
    assert.throws(() => setRngState(zeros([3])));
  });
});

test('a seed that is no whole number is refused', () => {
  assert.throws(() => manualSeed(1.5), TypeError);
  assert.throws(() => manualSeed('x' as never), TypeError);
});
