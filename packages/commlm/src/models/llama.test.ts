/** The language model: windows, masks and the cache of keys and values. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cat, F, manualSeed, noGrad, randint, randn, scope, type Tensor, tensor, zeros } from '@commlm/torch';
import { expectNoLeak, expectRounded, maxRelDiff, withStrictScopes } from '@commlm/torch/testing';
import { CommError } from '../config/errors.js';
import { KvCache } from './kv-cache.js';
import { Llama } from './llama.js';
import { RmsNorm } from './rms-norm.js';
import { ropeFrequencies } from './rope.js';
import { SMALL_LLAMA_ROUNDING, smallLlama } from './sample-configs.fixture.js';

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

function close(actual: Tensor, expected: Tensor): void {
  expectRounded(actual, expected, SMALL_LLAMA_ROUNDING);
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

/** What each relative of Llama changes. */
const relatives: Record<string, Parameters<typeof smallLlama>[0]> = {
  qwen3: { qkNorm: true, qkvBias: true },
  mistral: { slidingWindow: { size: 5, layers: 'all' } },
  phi: {
    norm: 'layer',
    mlp: 'plain',
    act: 'gelu_tanh',
    block: 'parallel',
    rotaryDim: 4,
    headBias: true,
    tieWordEmbeddings: false,
  },
  gemma: {
    norm: 'rms-offset',
    block: 'sandwich',
    act: 'gelu_tanh',
    queryScalar: 5,
    embedScale: 5.7,
    scoreCap: 3,
    logitCap: 4,
    slidingWindow: { size: 4, layers: [0] },
  },
};

for (const [name, changes] of Object.entries(relatives)) {
  test(`${name}: chunks behind a cache, padded rows and training agree with one whole pass`, () => {
    withStrictScopes(() =>
      scope(() => {
        using model = build(changes);
        const input = ids(2, 13);
        const whole = model.forward(input);
        using cache = new KvCache(model.config, { batch: 2, capacity: 4, dtype: 'f32' });
        const chunks = [3, 1, 6, 1, 2].map((length) => model.forward(input.narrow(1, cache.length, length), { cache }));
        close(cat(chunks, 1), whole);

        // The second row is padded by 3: in one pass, and with its last token behind a cache.
        const padded = cat([input.narrow(0, 0, 1), cat([ids(1, 3), input.narrow(0, 1, 1).narrow(1, 0, 10)], 1)]);
        const alone = model.forward(input.narrow(0, 1, 1).narrow(1, 0, 10));
        const positions = tensor(
          [0, 3].map((pad) => Array.from({ length: 13 }, (_, t) => Math.max(0, t - pad))),
          {
            dtype: 'i64',
          },
        );
        const looks = (pad: number, t: number, s: number): boolean => s <= t && (s >= pad || s === t);
        const mask = tensor(
          [0, 3].map((pad) => [
            Array.from({ length: 13 }, (_, t) => Array.from({ length: 13 }, (_, s) => looks(pad, t, s))),
          ]),
        );
        for (const asked of [mask, zeros(mask.shape).maskedFill(mask.logicalNot(), Number.NEGATIVE_INFINITY)]) {
          const logits = model.forward(padded, { positions, mask: asked });
          close(logits.select(0, 0), whole.select(0, 0));
          close(logits.select(0, 1).narrow(0, 3, 10), alone.select(0, 0));
          using past = new KvCache(model.config, { batch: 2, dtype: 'f32' });
          const first = { positions: positions.narrow(1, 0, 12), mask: asked.narrow(2, 0, 12).narrow(3, 0, 12) };
          model.forward(padded.narrow(1, 0, 12), { ...first, cache: past });
          const last = { positions: positions.narrow(1, 12, 1), mask: asked.narrow(2, 12, 1), cache: past };
          close(model.nextLogits(padded.narrow(1, 12, 1), last), logits.select(1, -1));
        }

        model.requiresGrad_();
        close(model.forward(input), whole);
      }),
    );
  });
}

test('a window hides what lies before it, in the layers that have one', () => {
  scope(() => {
    const input = ids(1, 12);
    const changed = cat([ids(1, 6), input.narrow(1, 6, 6)], 1);
    const last = (layers: 'all' | number[]): [Tensor, Tensor] => {
      using model = build({ slidingWindow: { size: 3, layers } });
      return [model.nextLogits(input), model.nextLogits(changed)];
    };
    // Two layers of 3 reach back 4 positions in all.
    const [a, b] = last('all');
    assert.equal(maxRelDiff(a, b), 0);
    const [c, d] = last([1]);
    assert.ok(maxRelDiff(c, d) > 1e-4, 'the other layer sees everything');
  });
});

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
    close(model.forward(changed).narrow(1, 0, 6), model.forward(input).narrow(1, 0, 6));
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
    expectRounded(a, b, { terms: 32, steps: 3 });
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
