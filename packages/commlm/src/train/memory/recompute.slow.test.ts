/** Recomputed activations give the gradients that kept ones give. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manualSeed, nn, randn, scope, type Tensor, tensor } from '@commlm/torch';
import { expectNoLeak, maxRelDiff, roundingBound } from '@commlm/torch/testing';
import { type CommConfig, type LlamaConfig, parseConfig, CommConfig as Schema } from '../../config/model.js';
import { Comm, type CommBatch, type LossOptions } from '../../models/comm.js';
import { SMALL_VIT_ROUNDING, smallComm, smallLlama } from '../../models/sample-configs.fixture.js';
import { packedMask } from '../tasks/comm/packed-mask.js';
import { Recompute, recomputedBackward } from './recompute.js';

const [PATCH, N] = [3, 16];

function build(llama: Partial<LlamaConfig> = {}, changes: Partial<CommConfig> = {}): Comm {
  manualSeed(5);
  return new Comm(parseConfig(Schema, smallComm({ textConfig: smallLlama({ numLayers: 5, ...llama }), ...changes })));
}

/** Two rows with a picture each, the second packed with two questions that do not see each other. */
function batchOf(): Omit<CommBatch, 'visual'> {
  const row = [4, ...Array.from({ length: N }, () => PATCH), 5, 9, 10, 11, 12, 13, 14];
  const labels = row.map((id, at) => (at > N + 2 ? id : -100));
  const segments = [row.map(() => 0), row.map((_, at) => (at < N + 2 ? 0 : at < N + 4 ? 1 : 2))];
  const positions = [row.map((_, at) => at), row.map((_, at) => (at < N + 4 ? at : at - 2))];
  const i64 = (rows: number[][]): Tensor => tensor(rows, { dtype: 'i64' });
  return {
    ids: i64([row, row.toReversed().map((_, at) => row[at]! + (row[at]! > 8 ? 7 : 0))]),
    labels: i64([labels, labels]),
    positions: i64(positions),
    mask: packedMask(tensor(segments, { dtype: 'i32' }), 'f32'),
    weights: tensor([0, 1].map((r) => row.map((_, at) => 0.25 * ((at + r) % 5)))),
  };
}

const pixels = (): Tensor[] => [0, 1].map(() => randn([2, 3, 32, 32]));

interface Gradients {
  readonly loss: Tensor;
  readonly tokenLosses: Tensor;
  readonly grads: ReadonlyMap<string, Tensor>;
}

function gradients(model: nn.Module, run: () => { loss: Tensor; tokenLosses: Tensor }): Gradients {
  model.zeroGrad();
  manualSeed(1);
  const { loss, tokenLosses } = run();
  const grads = [...model.namedParameters()].flatMap(([key, { grad }]) =>
    grad === null ? [] : [[key, grad] as const],
  );
  return { loss: loss.detach(), tokenLosses, grads: new Map(grads) };
}

function expectEqual(ours: Gradients, plain: Gradients, bound = 0): void {
  assert.ok(maxRelDiff(ours.loss, plain.loss) <= bound);
  assert.ok(maxRelDiff(ours.tokenLosses, plain.tokenLosses) <= bound);
  assert.deepEqual([...ours.grads.keys()], [...plain.grads.keys()]);
  for (const [key, grad] of ours.grads) {
    const difference = maxRelDiff(grad, plain.grads.get(key)!);
    assert.ok(difference <= bound, `${key}: ${difference}`);
  }
}

/** Both ways for one model and the same batch, with a graph from the visual tokens to projector and merge. */
function compare(model: Comm, batch: Omit<CommBatch, 'visual'>, every: number, options: LossOptions = {}): void {
  scope(() => {
    const levels = model.vision.encode(pixels());
    const visual = (): Tensor => model.fuseLevels(levels.map((maps) => maps.map((map) => map.detach())));
    const plain = gradients(model, () => {
      const result = model.loss({ ...batch, visual: visual() }, options);
      result.loss.mul(0.5).backward();
      return result;
    });
    assert.ok(plain.grads.has('projector.linear.weight') || plain.grads.size > 20);
    const ours = gradients(model, () =>
      recomputedBackward(model, { ...batch, visual: visual() }, { ...options, every, scale: 0.5 }),
    );
    expectEqual(ours, plain);
  });
}

const MODELS: Readonly<Record<string, Partial<LlamaConfig>>> = {
  'tied head': { tieWordEmbeddings: true },
  'own head': { tieWordEmbeddings: false },
  'Gemma 2: norms around the branches, soft caps, windows': {
    block: 'sandwich',
    norm: 'rms-offset',
    scoreCap: 20,
    logitCap: 10,
    slidingWindow: { size: 8, layers: [0, 2, 4] },
  },
};

for (const [name, llama] of Object.entries(MODELS)) {
  test(`recomputed gradients are the plain ones bit for bit: ${name}`, () => {
    using model = build(llama);
    scope(() => {
      const { weights: _, positions: __, mask: ___, ...causal } = batchOf();
      for (const every of [1, 2, 5, 9]) compare(model, batchOf(), every);
      compare(model, causal, 2, { reduction: 'sum' });
      compare(model, causal, 1);
    });
  });
}

test('how far numbers are off counts with the tokens', () => {
  using model = build();
  scope(() => {
    const numbers = { ids: tensor([9, 10, 11, 12], { dtype: 'i64' }), weight: 0.7 };
    compare(model, batchOf(), 1, { numbers });
    compare(model, batchOf(), 2, { numbers, reduction: 'sum' });
  });
});

test('the same in bf16', () => {
  using model = build();
  model.to('bf16');
  scope(() => {
    const batch = batchOf();
    compare(model, { ...batch, mask: batch.mask!.to('bf16') }, 2);
  });
});

test('with frozen embeddings and first blocks, only what learns gets a gradient', () => {
  using model = build({ tieWordEmbeddings: false });
  model.languageModel.model.embedTokens.requiresGrad_(false);
  for (const layer of model.languageModel.model.layers.slice(0, 2)) layer.requiresGrad_(false);
  scope(() => compare(model, batchOf(), 1));
  model.vision.requiresGrad_(false);
  model.projector.requiresGrad_(false);
  scope(() => compare(model, batchOf(), 2));
});

test('encoders that learn are recomputed as well, from every level that the merge reads', () => {
  using model = build();
  scope(() => {
    const [batch, pictures] = [batchOf(), pixels()];
    const plain = gradients(model, () => {
      const result = model.loss({ ...batch, visual: model.fuseLevels(model.vision.encode(pictures)) });
      result.loss.backward();
      return result;
    });
    const ours = gradients(model, () => {
      using encoders = new Recompute({ every: 2 });
      const visual = model.fuseLevels(model.vision.encode(pictures, encoders));
      return recomputedBackward(model, { ...batch, visual }, { encoders });
    });
    // A state inside gathers from the merge, the next branch and its skip: three terms in another order, and the way
    // back from there.
    expectEqual(ours, plain, roundingBound({ terms: 3, steps: SMALL_VIT_ROUNDING.steps }));
  });
});

test('dropout is drawn again as it was, and the random numbers go on from where they were', () => {
  const dropout = new nn.Dropout(0.5);
  using layer = new nn.Linear(8, 8);
  scope(() => {
    const [x, go] = [randn([4, 8]), randn([4, 8])];
    const blocks = Array.from({ length: 3 }, () => (y: Tensor) => y.add(dropout.forward(layer.forward(y))));
    const run = (recompute: Recompute | null): { grads: Gradients; next: Tensor } => {
      let next = randn([]);
      const grads = gradients(layer, () => {
        const plain = (): Tensor => blocks.reduce((y, block) => block(y), x);
        const out = recompute === null ? plain() : recompute.run(x, () => blocks, [3])[0]!;
        const outputs = { loss: out.sum(), tokenLosses: out.mul(1) };
        out.backward(go);
        recompute?.backward();
        next = randn([]);
        return outputs;
      });
      return { grads, next };
    };
    const [plain, ours] = [run(null), run(new Recompute({ every: 1 }))];
    assert.equal(ours.next.item(), plain.next.item());
    // The one layer serves all blocks: its gradient is a sum of three in another order.
    expectEqual(ours.grads, plain.grads, roundingBound({ terms: 3 }));
  });
});

test('a head in pieces differs by the order of sums only', () => {
  using model = build({ vocabSize: 60_000, hiddenSize: 8, headDim: 2, numLayers: 1 });
  scope(() => {
    const ids = randn([8, 100]).mul(1000).to('i64').clamp(4, 5000);
    const batch = { ids, labels: ids, visual: null };
    const plain = gradients(model, () => {
      const result = model.loss(batch);
      result.loss.backward();
      return result;
    });
    const ours = gradients(model, () => recomputedBackward(model, batch));
    // A softmax over 60,000 words and gradients that are sums over them. One of 800 tokens left out, or counted twice,
    // would change the loss by a thousandth.
    expectEqual(ours, plain, roundingBound({ terms: 60_000, steps: 2 }));
  });
});

test('a step leaves nothing behind, also when it throws', () => {
  using model = build();
  scope(() => {
    const batch = { ...batchOf(), visual: randn([2, N, 32]) };
    const unlearned = { ...batch, labels: batch.labels.mul(0).sub(100) };
    expectNoLeak(() =>
      scope(() => {
        recomputedBackward(model, batch, { every: 2 });
        model.zeroGrad();
        assert.throws(() => recomputedBackward(model, unlearned), /no token to learn/);
      }),
    );
  });
});
