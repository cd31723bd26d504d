/** Finding, naming, loading, moving and freeing the tensors of a module. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { full, memoryStats, nn, ones, optim, scope, type Tensor, TorchError, zeros } from '../index.js';
import { expectClose, expectNoLeak, withStrictScopes } from '../testing.js';

class Attention extends nn.Module {
  readonly qProj = new nn.Linear(4, 4);
  readonly outProj = new nn.Linear(4, 4, { bias: false });

  forward(x: Tensor): Tensor {
    return x.pipe(this.qProj, this.outProj);
  }
}

class Base extends nn.Module {
  static readonly keys: Record<string, string> = { blocks: 'encoder.layers' };
  readonly blocks = [new Attention(), new Attention()];
  readonly grid = [[new nn.Identity()], [new nn.LayerScale(4)]];
}

class Model extends Base {
  static override readonly keys = { clsToken: 'embeddings.cls' };
  readonly clsToken = new nn.Parameter(ones([1, 1, 4]));
  readonly table = new nn.Buffer(full([2], 3), { persistent: false });
  readonly steps = new nn.Buffer(zeros([], { dtype: 'i64' }));
  readonly notes = { text: 'no tensor', sizes: [1, 2, 3] };
  readonly loose: Tensor = zeros([9]);
  readonly missing: nn.Parameter | null = null;
}

const KEYS = [
  'encoder.layers.0.q_proj.weight',
  'encoder.layers.0.q_proj.bias',
  'encoder.layers.0.out_proj.weight',
  'encoder.layers.1.q_proj.weight',
  'encoder.layers.1.q_proj.bias',
  'encoder.layers.1.out_proj.weight',
  'grid.1.0.lambda1',
  'embeddings.cls',
];

test('keys are attribute paths in snake_case, with the overrides of the class and its bases', () => {
  using model = new Model();
  assert.deepEqual([...model.namedParameters().keys()], KEYS);
  assert.deepEqual([...model.stateDict().keys()], [...KEYS, 'steps']);
  assert.deepEqual([...model.namedBuffers().keys()], ['table', 'steps']);
  assert.deepEqual([...model.namedChildren().keys()], ['encoder.layers.0', 'encoder.layers.1', 'grid.0.0', 'grid.1.0']);
  assert.equal(model.modules().length, 9);
  assert.equal(model.numParameters(), 2 * (16 + 4 + 16) + 4 + 4);
  assert.equal(model.blocks[0]?.outProj.bias, null);
});

test('a shared parameter counts once and is saved under each of its keys', () => {
  class Tied extends nn.Module {
    readonly embed = new nn.Embedding(5, 3);
    readonly head = { weight: this.embed.weight };
    readonly output = [this.embed.weight];
  }
  using model = new Tied();
  assert.deepEqual([...model.namedParameters().keys()], ['embed.weight']);
  assert.deepEqual([...model.stateDict().keys()], ['embed.weight', 'output.0']);
  assert.equal(model.numParameters(), 15);
  model.to('bf16');
  assert.equal(model.output[0]?.dtype, 'bf16');
  assert.equal(model.output[0], model.embed.weight);
});

test('two tensors under one key are refused', () => {
  class Clash extends nn.Module {
    static readonly keys = { a: 'x', b: 'x' };
    readonly a = new nn.Parameter(zeros([1]));
    readonly b = new nn.Parameter(zeros([1]));
  }
  using model = new Clash();
  assert.throws(() => model.stateDict(), /Clash has two tensors under the key "x"/);
});

test('parameters survive the scope that they were made in, and ask for gradients', () => {
  const { linear, scale } = scope(() => ({ linear: new nn.Linear(2, 2), scale: new nn.Parameter(ones([2])) }));
  assert.ok(!linear.weight.disposed && linear.weight.requiresGrad && !scale.disposed);
  assert.ok(scale instanceof nn.Parameter && linear.weight.facts().leaf);
  linear.dispose();
  linear.dispose();
  assert.ok(linear.weight.disposed);
  scale.dispose();
});

test('models are built, moved and freed without a tensor left over, also under strict scopes', () => {
  const data = scope(() => new Map([...new Attention().stateDict()].map(([key, t]) => [key, t.detach()])));
  withStrictScopes(() =>
    expectNoLeak(() => {
      using model = new Attention();
      model.to('bf16').to({ dtype: 'f32', device: 'cpu' });
      model.loadStateDict(data);
      model.loadStateDict(data, { assign: true });
    }),
  );
  for (const tensor of data.values()) tensor.dispose();
});

test('a state dict goes round, converting dtypes, and the copy is a copy', () => {
  scope(() => {
    using from = new Attention();
    using to = new Attention().to('f64');
    assert.deepEqual(to.loadStateDict(from.stateDict()), { missing: [], unexpected: [], misshaped: [] });
    assert.equal(to.qProj.weight.dtype, 'f64');
    expectClose(to.qProj.weight, from.qProj.weight.to('f64'), { rtol: 0, atol: 0 });
    from.qProj.weight.requiresGrad_(false).zero_();
    assert.ok(to.qProj.weight.abs().sum().item() > 0);
    assert.ok(to.qProj.weight.requiresGrad);
  });
});

test('everything that does not fit is named in one sentence, with the nearest name, and nothing is changed', () => {
  scope(() => {
    using model = new Attention();
    const dict = new Map<string, Tensor>([
      ['q_proj.weight', zeros([4, 5])],
      ['q_proj.bias', zeros([4])],
      ['outproj.weight', zeros([4, 4])],
      ['something.else', zeros([1])],
    ]);
    const before = model.qProj.bias?.tolist();
    assert.throws(() => model.loadStateDict(dict), {
      name: 'TorchError',
      code: 'ERR_TORCH_STATE',
      message:
        'the state dict does not fit Attention: 1 missing key: "out_proj.weight"; 2 unexpected keys: ' +
        '"outproj.weight" (did you mean "out_proj.weight"?), "something.else"; ' +
        '1 key of another shape: "q_proj.weight" is [4, 5], wanted [4, 4]',
    });
    assert.throws(() => model.loadStateDict(dict, { strict: false }), {
      message:
        'the state dict does not fit Attention: 1 key of another shape: "q_proj.weight" is [4, 5], wanted [4, 4]',
    });
    assert.deepEqual(model.qProj.bias?.tolist(), before);
    dict.delete('q_proj.weight');
    assert.deepEqual(model.loadStateDict(dict, { strict: false }), {
      missing: ['q_proj.weight', 'out_proj.weight'],
      unexpected: ['outproj.weight', 'something.else'],
      misshaped: [],
    });
    assert.deepEqual(model.qProj.bias?.tolist(), [0, 0, 0, 0]);
  });
});

test('a long list of keys is cut', () => {
  using model = new nn.Identity();
  const dict = scope(() => new Map(Array.from({ length: 11 }, (_, i) => [`k${i}`, zeros([1])] as const)));
  assert.throws(() => model.loadStateDict(dict), /11 unexpected keys: "k0", .*"k7" and 3 more$/);
  for (const tensor of dict.values()) tensor.dispose();
});

test('a model on meta costs no memory and takes over given tensors without a copy', () => {
  scope(() => {
    const before = memoryStats().hostBytes;
    using model = nn.onMeta(() => new Model());
    // The two attention blocks alone would take 288 bytes.
    assert.ok(memoryStats().hostBytes - before < 100);
    assert.equal(model.clsToken.device, 'meta');
    assert.equal(model.steps.device, 'meta');
    assert.deepEqual(model.table.tolist(), [3, 3], 'a table that is in no state dict stays real');
    const weights = new Map(
      [...model.stateDict()].map(([k, { shape, dtype }]) => [k, ones(shape, { dtype })] as const),
    );
    assert.throws(() => model.loadStateDict(weights), /has no memory yet: load with \{assign: true\}/);
    const cls = model.clsToken;
    model.loadStateDict(weights, { assign: true });
    assert.equal(model.clsToken, cls);
    assert.equal(cls.facts().storagePointer, weights.get('embeddings.cls')?.facts().storagePointer);
    assert.ok(cls.requiresGrad && cls instanceof nn.Parameter && !weights.get('embeddings.cls')?.requiresGrad);
    assert.equal(cls.sum().item(), 4);
  });
  assert.equal(scope(() => new nn.Linear(2, 2)).weight.device, 'cpu');
});

test('onMeta ends when its function throws', () => {
  assert.throws(() => nn.onMeta(() => assert.fail()));
  using linear = new nn.Linear(1, 1);
  assert.equal(linear.weight.device, 'cpu');
});

test('assigned weights outlive the scope and the handles that they came from', () => {
  using model = nn.onMeta(() => new nn.Linear(2, 1, { bias: false }));
  scope(() => model.loadStateDict(new Map([['weight', full([1, 2], 5, { dtype: 'bf16' })]]), { assign: true }));
  assert.equal(model.weight.dtype, 'bf16');
  assert.deepEqual(model.weight.tolist(), [[5, 5]]);
});

test('to() keeps the Parameter objects, so an optimiser made before follows', () => {
  scope(() => {
    using model = new nn.Linear(2, 2, { bias: false });
    const optimizer = new optim.AdamW(model.parameters(), { lr: 0.1, weightDecay: 0 });
    const weight = model.weight;
    model.to('f64');
    assert.equal(model.weight, weight);
    assert.equal(weight.dtype, 'f64');
    assert.ok(weight.requiresGrad);
    const before = weight.detach().clone();
    model
      .forward(ones([1, 2], { dtype: 'f64' }))
      .sum()
      .backward();
    optimizer.step();
    // The step is lr / (1 + eps) with eps = 1e-8; the rest is rounding of f64.
    expectClose(weight.detach(), before.sub(0.1), { rtol: 0, atol: 2 * 0.1 * 1e-8 });
    optimizer.dispose();
  });
});

test('to() leaves whole numbers alone', () => {
  using model = new nn.BatchNorm2d(3);
  model.to('bf16');
  assert.equal(model.runningMean.dtype, 'bf16');
  assert.equal(model.numBatchesTracked.dtype, 'i64');
});

test('train, eval, freezing and apply reach every module', () => {
  using model = new Model();
  model.eval();
  assert.ok(model.modules().every(({ training }) => !training));
  assert.ok(model.train().blocks[1]?.qProj.training);
  model.requiresGrad_(false);
  assert.equal(model.numParameters({ trainableOnly: true }), 0);
  model.blocks[0]?.requiresGrad_();
  assert.equal(model.numParameters({ trainableOnly: true }), 36);
  const order: string[] = [];
  model.apply((module) => order.push(module.constructor.name));
  assert.equal(order.at(-1), 'Model');
  assert.ok(order.indexOf('Linear') < order.indexOf('Attention'));
});

test('zeroGrad drops gradients', () => {
  scope(() => {
    using model = new Attention();
    model
      .forward(ones([1, 4]))
      .sum()
      .backward();
    assert.ok(model.parameters().every(({ grad }) => grad !== null));
    model.zeroGrad();
    assert.ok(model.parameters().every(({ grad }) => grad === null));
  });
});

test('a misfit is a TorchError', () => {
  using model = new nn.Linear(1, 1);
  assert.throws(() => model.loadStateDict(new Map()), TorchError);
});
