import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cat, F, manualSeed, noGrad, randint, randn, scope, type Tensor, tensor } from '@commlm/torch';
import { expectNoLeak, maxRelDiff, withStrictScopes } from '@commlm/torch/testing';
import { CommError } from '../config/errors.js';
import { KvCache } from './kv-cache.js';
import { Llama } from './llama.js';
import { RmsNorm } from './rms-norm.js';
import { ropeFrequencies } from './rope.js';
import { smallLlama } from './sample-configs.js';

function build(changes: Parameters<typeof smallLlama>[0] = {}): Llama {
  manualSeed(5);
  const model = new Llama(smallLlama(changes));
  // Weights of ordinary size: with the small initial ones every position would predict nearly the same.
  noGrad(() => {
    for (const parameter of model.parameters()) if (parameter.ndim > 1) parameter.mul_(10);
  });
  return model.requiresGrad_(false);
}

const ids = (rows: number, length: number): Tensor => randint(6, 48, [rows, length], { dtype: 'i64' });

function close(actual: Tensor, expected: Tensor, bound = 1e-5): void {
  const difference = maxRelDiff(actual, expected);
  assert.ok(difference <= bound, `differs by ${difference}`);
}

for (const changes of [{}, { numKvHeads: 4 }, { numKvHeads: 1, tieWordEmbeddings: false }]) {
  test(`cached and uncached logits agree, ${JSON.stringify(changes)}`, () => {
    withStrictScopes(() =>
      scope(() => {
        using model = build(changes);
        const input = ids(2, 13);
        const whole = model.forward(input);
        // Capacity 4 makes the cache grow on the way; chunks of several tokens follow stored ones.
        using cache = new KvCache(model.config, { batch: 2, capacity: 4, dtype: 'f32' });
        const chunks = [5, 1, 1, 4, 2].map((length) => {
          const chunk = input.narrow(1, cache.length, length);
          return model.forward(chunk, { cache });
        });
        assert.equal(cache.length, 13);
        close(cat(chunks, 1), whole);
      }),
    );
  });
}

test('left padding with a mask and positions gives each row its own answer', () => {
  scope(() => {
    using model = build();
    const [long, short] = [ids(1, 9), ids(1, 6)];
    const padded = cat([long, cat([tensor([[0, 0, 0]], { dtype: 'i64' }), short], 1)]);
    const positions = tensor([Array.from({ length: 9 }, (_, t) => t), [0, 0, 0, 0, 1, 2, 3, 4, 5]], { dtype: 'i64' });
    const looks = (b: number, t: number, s: number): boolean => s <= t && (b === 0 || s >= 3 || s === t);
    const mask = tensor(
      [0, 1].map((b) => [Array.from({ length: 9 }, (_, t) => Array.from({ length: 9 }, (_, s) => looks(b, t, s)))]),
    );
    const logits = model.nextLogits(padded, { positions, mask });
    close(logits.select(0, 0), model.nextLogits(long).select(0, 0));
    close(logits.select(0, 1), model.nextLogits(short).select(0, 0));
  });
});

test('a cache forgets, keeps chosen rows, and refuses what does not fit', () => {
  scope(() => {
    using model = build({ maxPositions: 16 });
    const input = ids(2, 8);
    using cache = new KvCache(model.config, { batch: 2, dtype: 'f32' });
    model.forward(input, { cache });
    cache.truncate(5);
    close(model.nextLogits(input.narrow(1, 5, 3), { cache }), model.nextLogits(input));
    cache.selectRows([1]);
    cache.truncate(7);
    close(model.nextLogits(input.narrow(0, 1, 1).narrow(1, 7, 1), { cache }), model.nextLogits(input.narrow(0, 1, 1)));
    assert.throws(() => model.forward(input.narrow(1, 0, 1), { cache }), /1 rows, but 2 came/);
    assert.throws(() => cache.truncate(9), CommError);
    assert.throws(() => model.forward(ids(1, 12), { cache }), /at most 16 tokens/);
  });
});

test('a token sees nothing of what follows', () => {
  scope(() => {
    using model = build();
    const input = ids(1, 10);
    const changed = cat([input.narrow(1, 0, 6), ids(1, 4)], 1);
    close(model.forward(changed).narrow(1, 0, 6), model.forward(input).narrow(1, 0, 6), 1e-6);
  });
});

test('training takes the same numbers as inference', () => {
  scope(() => {
    using model = build();
    const input = ids(2, 11);
    const frozen = model.forward(input);
    model.requiresGrad_();
    close(model.forward(input), frozen);
  });
});

test('RMSNorm through LayerNorm is RMSNorm, and so are its gradients', () => {
  scope(() => {
    const norm = new RmsNorm(32, 1e-5);
    noGrad(() => norm.weight.copy_(randn([32])));
    const x = randn([7, 32]).requiresGrad_();
    const [a, b] = [norm.forward(x), F.rmsNorm(x, norm.weight, 1e-5)];
    close(a, b, 1e-6);
    const cotangent = randn([7, 32]);
    a.mul(cotangent).sum().backward();
    const [dx, dw] = [x.grad!.clone(), norm.weight.grad!.clone()];
    x.grad = null;
    norm.weight.grad = null;
    b.mul(cotangent).sum().backward();
    close(dx, x.grad!);
    close(dw, norm.weight.grad!);
    norm.dispose();
  });
});

test('rope scaling: linear divides all frequencies, llama3 keeps the fast and divides the slow', () => {
  const config = smallLlama({ headDim: 64, ropeTheta: 500_000 });
  const plain = ropeFrequencies(config);
  const linear = ropeFrequencies({ ...config, ropeScaling: { kind: 'linear', factor: 4 } });
  const llama3 = ropeFrequencies({
    ...config,
    ropeScaling: { kind: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 },
  });
  assert.equal(plain[0], 1);
  for (const [i, f] of plain.entries()) {
    assert.equal(linear[i], Math.fround(f / 4));
    assert.ok(llama3[i]! <= f && llama3[i]! >= Math.fround(f / 8));
  }
  assert.equal(llama3[0], plain[0]);
  assert.equal(llama3[31], Math.fround(plain[31]! / 8));
});

test('a disposed model leaves nothing behind, its tables included', () => {
  expectNoLeak(
    () => {
      using model = build();
      scope(() => void model.forward(ids(1, 3)));
    },
    { steps: 3 },
  );
});

test('decoding leaks nothing', () => {
  using model = build();
  expectNoLeak(() => {
    scope(() => {
      using cache = new KvCache(model.config, { batch: 1, capacity: 2, dtype: 'f32' });
      for (let i = 0; i < 5; i++) model.nextLogits(ids(1, 1), { cache });
    });
  });
});
