/** The whole model: pictures in the place of their tokens, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { F, manualSeed, noGrad, optim, randn, scope, type Tensor, tensor } from '@commlm/torch';
import { expectNoLeak, expectRounded, maxRelDiff } from '@commlm/torch/testing';
import { CommError } from '../config/errors.js';
import { type CommConfig, parseConfig, CommConfig as Schema } from '../config/model.js';
import { commTiny } from '../config/presets.js';
import { Comm, IGNORE_LABEL, numberDistances } from './comm.js';
import { SMALL_COMM_ROUNDING, SMALL_LLAMA_ROUNDING, smallComm } from './sample-configs.fixture.js';

const PATCH = 3;
const N = 16;

function build(config: CommConfig = smallComm()): Comm {
  manualSeed(11);
  return new Comm(parseConfig(Schema, config));
}

/** start, N placeholders, end. */
const picture = (count = N): number[] => [4, ...Array.from({ length: count }, () => PATCH), 5];
const rows = (...lines: number[][]): Tensor => tensor(lines, { dtype: 'i64' });
const pixels = (count: number): Tensor[] => [randn([count, 3, 32, 32]), randn([count, 3, 32, 32])];

test('visual tokens are written over the placeholders, in order, anywhere; all else stays text', () => {
  using model = build();
  scope(() => {
    const visual = randn([3, N, 32]);
    const first = [7, ...picture(), 8, 9, ...picture(), 10];
    const second = [...picture(), ...Array.from({ length: first.length - picture().length }, () => 11)];
    const ids = rows(first, second);
    const embeds = model.embed(ids, visual);
    const known = [2, 5 + N + 1, first.length + 1].flatMap((start) => Array.from({ length: N }, (_, i) => start + i));
    assert.equal(
      maxRelDiff(model.embed(ids, visual, tensor(known, { dtype: 'i64' })), embeds),
      0,
      'places that are known',
    );
    const text = model.languageModel.embed(ids);
    const at = (row: number, start: number): Tensor => embeds.select(0, row).narrow(0, start, N);
    assert.equal(maxRelDiff(at(0, 2), visual.select(0, 0)), 0);
    assert.equal(maxRelDiff(at(0, 5 + N + 1), visual.select(0, 1)), 0);
    assert.equal(maxRelDiff(at(1, 1), visual.select(0, 2)), 0);
    for (const place of [0, 1, 2 + N, 3 + N]) {
      assert.equal(maxRelDiff(embeds.select(1, place).select(0, 0), text.select(1, place).select(0, 0)), 0);
    }
  });
});

test('bare tokens of two pictures side by side are one run of 2 N', () => {
  using model = build(smallComm({ imageTokens: { kind: 'bare', patchId: PATCH } }));
  scope(() => {
    const ids = rows([7, ...Array.from({ length: 2 * N }, () => PATCH), 8]);
    const visual = randn([2, N, 32]);
    assert.equal(
      maxRelDiff(
        model
          .embed(ids, visual)
          .select(0, 0)
          .narrow(0, 1, 2 * N),
        visual.flatten(0, 1),
      ),
      0,
    );
  });
});

test('placeholders and pictures that disagree are refused', () => {
  using model = build();
  scope(() => {
    const one = rows([7, ...picture(), 8]);
    const cases: [Tensor, Tensor | null][] = [
      [one, null],
      [one, randn([2, N, 32])],
      [rows([7, 8]), randn([1, N, 32])],
      [rows([7, ...picture(N - 1), 8]), randn([1, N, 32])],
      // Too many in one place and too few in another add up, but each run is wrong.
      [rows([...picture(N - 1), ...picture(N + 1)]), randn([2, N, 32])],
      // A run that continues on the next row is two short ones.
      [rows([7, 8, ...Array(N / 2).fill(PATCH)], [...Array(N / 2).fill(PATCH), 7, 8]), randn([1, N, 32])],
    ];
    for (const [ids, visual] of cases) {
      assert.throws(
        () => model.embed(ids, visual),
        (error) => error instanceof CommError && error.code === 'model/image-count',
      );
    }
    assert.throws(() => model.embed(one, randn([1, N, 32]), tensor([2], { dtype: 'i64' })), {
      code: 'model/image-count',
    });
    assert.deepEqual(model.embed(rows([7, 8]), null).shape, [1, 2, 32]);
  });
});

test('the loss is the shifted cross-entropy over the learned labels', () => {
  using model = build();
  scope(() => {
    const line = [7, ...picture(), 20, 21, 22, 23];
    const ids = rows(
      line,
      line.toReversed().map((id) => (id === 22 ? 30 : id)),
    );
    const labels = ids.clone();
    labels.narrow(1, 0, N + 4).fill_(IGNORE_LABEL);
    const visual = model.encodeImages(pixels(2));
    const { loss, numTokens, tokenLosses } = model.loss({ ids, labels, visual });
    assert.equal(numTokens, 6);
    const logits = model.forward(ids, visual);
    const length = line.length;
    const expected = F.crossEntropy(
      logits.narrow(1, 0, length - 1).flatten(0, 1),
      labels.narrow(1, 1, length - 1).flatten(),
      { ignoreIndex: IGNORE_LABEL },
    );
    expectRounded(loss, expected, SMALL_COMM_ROUNDING);
    expectRounded(tokenLosses.mean(), loss, { terms: 6 });
    const sum = model.loss({ ids, labels, visual }, { reduction: 'sum' }).loss.item();
    expectRounded(sum / 6, loss.item(), SMALL_COMM_ROUNDING);
  });
});

test('weights per token make a weighted mean; no learned token is an error', () => {
  using model = build();
  scope(() => {
    const ids = rows([7, 8, 9, 10]);
    const losses = [...(model.loss({ ids, labels: ids, visual: null }).tokenLosses.toArray() as Float32Array)];
    // The weight of the first token counts for nothing: nothing predicts it.
    const weights = tensor([[9, 1, 0, 3]]);
    const { loss } = model.loss({ ids, labels: ids, visual: null, weights });
    expectRounded(loss.item(), (losses[0]! + 3 * losses[2]!) / 4, SMALL_LLAMA_ROUNDING);
    const none = ids.clone().fill_(IGNORE_LABEL);
    assert.throws(() => model.loss({ ids, labels: none, visual: null }), CommError);
  });
});

test('the number token loss is the expected distance of a digit, and 0 for a word', () => {
  scope(() => {
    // Tokens 2, 3 and 4 spell 0, 1 and 2.
    const digits = tensor(BigInt64Array.of(2n, 3n, 4n));
    const shares = [0.2, 0.5, 0.3];
    const row = [5, -5, ...shares.map(Math.log)];
    const logits = tensor([row, row, row]);
    const distances = numberDistances(logits, tensor(BigInt64Array.of(2n, 4n, 1n)), digits);
    const wanted = [0.5 + 2 * 0.3, 2 * 0.2 + 0.5, 0];
    // A softmax, which the other tokens take no part in, and a sum of products.
    expectRounded(distances, wanted, { terms: 5, steps: 4 });
  });
});

test('a picture reaches the loss through every trained part', () => {
  using model = build();
  for (const branch of model.vision.encoders) branch.vit.requiresGrad_(false);
  scope(() => {
    const ids = rows([7, ...picture(), 20, 21]);
    model.loss({ ids, labels: ids, visual: model.encodeImages(pixels(1)) }).loss.backward();
    for (const [key, parameter] of model.namedParameters()) {
      assert.equal(parameter.grad !== null, parameter.requiresGrad, key);
    }
  });
});

/** Options of the paper's open points (docs/paper-notes.md) that change the whole model; merges and alignments have their own tests. */
const variants: Record<string, CommConfig> = {
  default: smallComm(),
  '4: token concatenation': smallComm({ vision: { ...smallComm().vision, fuse: 'tokens' } }),
  '7: final norm on the last level': smallComm({}, [{}, { applyFinalNorm: true }]),
  '14: bare image tokens': smallComm({ imageTokens: { kind: 'bare', patchId: PATCH } }),
  '15: all DINO levels': smallComm({}, [{}, { levels: { from: 1, to: 3 } }]),
  '16: chosen CLIP levels, from the end': smallComm({}, [{ levels: [1, -1] }, {}]),
  '17: single level': smallComm({}, [{ levels: [-2], merge: { kind: 'single' } }, {}]),
  '17: mean': smallComm({}, [{ merge: { kind: 'mean' } }, { merge: { kind: 'mean' } }]),
  'MLP projector': smallComm({ projector: { kind: 'mlp', layers: 2, act: 'gelu' } }),
};

for (const [name, config] of Object.entries(variants)) {
  test(`variant ${name} learns in f32 and bf16`, () => {
    for (const dtype of ['f32', 'bf16'] as const) {
      using model = build(config).to(dtype);
      const line = [7, 4, ...Array.from({ length: model.tokensPerImage }, () => PATCH), 5, 20, 21, 22];
      scope(() => {
        const ids = rows(line);
        const input = pixels(1);
        const step = (): Tensor => model.loss({ ids, labels: ids, visual: model.encodeImages(input) }).loss;
        const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01 });
        const before = step();
        before.backward();
        optimizer.step();
        assert.ok(step().item() < before.item());
      });
    }
  });
}

test('comm-tiny keeps within its size and runs', () => {
  using model = build(
    commTiny({ vocabSize: 4096, imageTokens: { kind: 'wrapped', patchId: PATCH, startId: 4, endId: 5 } }),
  );
  // 36 MB in bf16, which is what the repository takes.
  assert.ok(model.numParameters() < 18_000_000, `${model.numParameters()} parameters`);
  assert.equal(model.tokensPerImage, 64);
  scope(() =>
    noGrad(() => {
      const visual = model.encodeImages([randn([1, 3, 128, 128]), randn([1, 3, 128, 128])]);
      assert.deepEqual(model.nextLogits(rows([7, ...picture(64), 8]), visual).shape, [1, 4096]);
    }),
  );
});

test('a training step and an answer leak nothing', () => {
  using model = build();
  for (const branch of model.vision.encoders) branch.vit.requiresGrad_(false);
  expectNoLeak(() => {
    scope(() => {
      const ids = rows([7, ...picture(), 20, 21]);
      model.loss({ ids, labels: ids, visual: model.encodeImages(pixels(1)) }).loss.backward();
      model.nextLogits(
        ids,
        noGrad(() => model.encodeImages(pixels(1))),
      );
    });
    model.zeroGrad();
  });
});
