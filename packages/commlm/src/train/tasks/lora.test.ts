/** Adapters in training: what learns, what is saved, and what is merged. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { io, manualSeed, nn, noGrad, randn, scope, type Tensor, tensor } from '@commlm/torch';
import { expectNoLeak, expectRounded, maxRelDiff } from '@commlm/torch/testing';
import { CommError } from '../../config/errors.js';
import { LoraConfig } from '../../config/lora.js';
import { CommConfig as CommSchema, parseConfig } from '../../config/model.js';
import type { LoopConfig } from '../../config/train.js';
import { Comm } from '../../models/comm.js';
import { SMALL_LLAMA_ROUNDING, smallComm, smallLlama } from '../../models/sample-configs.fixture.js';
import { loadCommFolder, saveCommFolder } from '../../weights/comm-folder.js';
import { mergeLora } from '../../weights/lora.js';
import { runTraining } from '../loop/loop.js';
import type { TrainingTask } from '../loop/training-task.js';
import { recomputedBackward } from '../memory/recompute.js';
import { addLora, mergedWeights, saveAdapter } from './lora.js';

const root = mkdtempSync(join(tmpdir(), 'lora-train-'));
after(() => rmSync(root, { recursive: true, force: true }));

const PREFIX = 'language_model.';
const lora = (changes: Partial<LoraConfig> = {}): LoraConfig =>
  parseConfig(LoraConfig, {
    ...{ rank: 3, alpha: 6, dropout: 0, targetModules: ['q_proj', 'v_proj', 'down_proj'], dtype: 'f32' },
    ...changes,
  });

function build(): Comm {
  manualSeed(3);
  return new Comm(parseConfig(CommSchema, smallComm({ textConfig: smallLlama({ tieWordEmbeddings: false }) })));
}

const ids = (): Tensor => tensor([[7, 8, 9, 10, 11, 12, 13, 14]], { dtype: 'i64' });
const logitsOf = (model: Comm): Tensor => noGrad(() => model.forward(ids(), null));

/** Gives the factors values, as training would. */
const stir = (model: nn.Module): void =>
  scope(() =>
    noGrad(() => {
      for (const parameter of model.parameters())
        if (parameter.requiresGrad) parameter.add_(randn(parameter.shape), 0.1);
    }),
  );

test('a fresh adapter changes nothing, keeps the keys of the model, and is all that learns', () => {
  using model = build();
  // Norms without gradient take the fused kernel: frozen on both sides, so that only the adapter could differ.
  model.requiresGrad_(false);
  scope(() => {
    const before = logitsOf(model);
    const keys = new Set(model.stateDict().keys());
    const names = addLora(model.languageModel, lora(), PREFIX);
    assert.equal(names.length, 6);
    assert.ok(names.includes('language_model.model.layers.1.mlp.down_proj'));
    assert.equal(maxRelDiff(logitsOf(model), before), 0);
    const added = [...model.stateDict().keys()].filter((key) => !keys.delete(key));
    assert.equal(keys.size, 0);
    const learns = [...model.languageModel.namedParameters()].filter(([, { requiresGrad }]) => requiresGrad);
    assert.deepEqual(
      learns.map(([key]) => `${PREFIX}${key}`),
      added,
    );
  });
});

for (const [targets, count] of [
  ['all-linear', 14],
  ['.*layers\\.0\\.self_attn\\.[qk]_proj', 2],
  [['model.layers.1.mlp.up_proj', 'language_model.lm_head'], 2],
  [['language_model.lm_head'], 1],
] as const) {
  test(`targets ${targets} are ${count} layers, or named where they are none`, () => {
    using model = build();
    const add = (): string[] =>
      addLora(
        model.languageModel,
        lora({ targetModules: typeof targets === 'string' ? targets : [...targets] }),
        PREFIX,
      );
    assert.equal(add().length, count);
    assert.throws(
      () => addLora(model.languageModel, lora({ targetModules: ['q_pro'] }), PREFIX),
      (error) => error instanceof CommError && error.code === 'lora/target' && /q_proj|named as/.test(error.fix ?? ''),
    );
  });
}

for (const [base, dropout] of [
  ['f32', 0],
  ['f32', 0.3],
  ['bf16', 0.3],
  ['int8', 0],
] as const) {
  test(`recomputed gradients of an adapter are the plain ones: ${base} base, dropout ${dropout}`, () => {
    using model = build();
    if (base === 'bf16') model.to('bf16');
    if (base === 'int8') {
      model.languageModel.replaceModules((layer, key) =>
        layer instanceof nn.Linear && key.startsWith('model.') ? nn.Int8Linear.from(layer) : layer,
      );
    }
    model.requiresGrad_(false);
    addLora(model.languageModel, lora({ dropout, dtype: base === 'bf16' ? 'bf16' : 'f32' }), PREFIX);
    stir(model);
    scope(() => {
      const batch = { ids: ids(), labels: ids(), visual: null };
      const gradients = (run: () => void): Map<string, Tensor> => {
        model.zeroGrad();
        manualSeed(2);
        run();
        return new Map([...model.namedParameters()].flatMap(([key, { grad }]) => (grad ? [[key, grad]] : [])));
      };
      const plain = gradients(() => model.loss(batch).loss.backward());
      const ours = gradients(() => recomputedBackward(model, batch));
      assert.equal(ours.size, 12);
      for (const [key, grad] of ours) assert.equal(maxRelDiff(grad, plain.get(key)!), 0, key);
    });
    expectNoLeak(() => {
      scope(() => {
        recomputedBackward(model, { ids: ids(), labels: ids(), visual: null });
      });
      model.zeroGrad();
    });
  });
}

test('gradients through 8-bit layers are those through the weights that the 8 bits stand for', () => {
  using layer = new nn.Linear(24, 16);
  using int8 = nn.Int8Linear.from(layer);
  scope(() => {
    const [x, go] = [randn([5, 24]), randn([5, 16])];
    x.requiresGrad = true;
    const y = int8.forward(x);
    y.backward(go);
    const weight = int8.weight.to('f32').mul(int8.scale.to('f32').unsqueeze(1));
    expectRounded(x.grad!, go.matmul(weight), { terms: 16, steps: 2 });
    expectRounded(
      y,
      noGrad(() => int8.forward(x)),
      { terms: 24, steps: 2 },
    );
  });
});

test('merged weights, the saved adapter on the base, and the adapter itself give the same logits', () => {
  using model = build();
  const [base, adapter, merged, again] = ['base', 'adapter', 'merged', 'again'].map((name) => join(root, name)) as [
    string,
    string,
    string,
    string,
  ];
  saveCommFolder(base, model);
  model.requiresGrad_(false);
  const config = lora();
  addLora(model.languageModel, config, PREFIX);
  model.projector.requiresGrad_(true);
  stir(model);
  scope(() => {
    const wanted = logitsOf(model);
    saveAdapter(adapter, model, { config, base });
    saveCommFolder(merged, model, { weights: mergedWeights(model) });
    mergeLora(base, adapter, again);
    for (const folder of [merged, again]) {
      using loaded = loadCommFolder(folder).model;
      expectRounded(logitsOf(loaded), wanted, SMALL_LLAMA_ROUNDING, folder);
      const projector = loaded.projector.parameters()[0]!;
      assert.equal(maxRelDiff(projector, model.projector.parameters()[0]!), 0);
    }
    const [one, two] = [merged, again].map((folder) => io.readSafetensors(join(folder, 'model.safetensors')));
    assert.deepEqual([...one!.keys()], [...two!.keys()]);
    // A weight and a sum of 3, the rank; one of the two comes from mapped files.
    for (const [key, weight] of one!) expectRounded(weight, two!.get(key)!, { terms: 3, steps: 2 }, key);
    const stored = JSON.parse(readFileSync(join(adapter, 'adapter_config.json'), 'utf8'));
    assert.deepEqual(stored.target_modules, ['down_proj', 'q_proj', 'v_proj']);
    assert.ok(stored.modules_to_save.every((name: string) => name.startsWith('projector')));
  });
});

test('an adapter learns through the loop, and its checkpoints hold nothing else', async () => {
  using model = build();
  model.requiresGrad_(false);
  addLora(model.languageModel, lora({ targetModules: 'all-linear' }), PREFIX);
  const frozen = scope(() => model.languageModel.model.embedTokens.weight.detach().to('f64').sum().item());
  const task: TrainingTask<object> = {
    parts: new Map([['languageModel', model.languageModel]]),
    openBatches: () => ({ waitedMs: 0, next: async () => ({}), close: async () => {} }),
    loss: () => ({ loss: model.loss({ ids: ids(), labels: ids(), visual: null }).loss, metrics: {} }),
    export: () => {},
  };
  const config: LoopConfig = {
    ...{ steps: 60, batchSize: 1, lr: 0.02, betas: [0.9, 0.99], weightDecay: 0, warmupRatio: 0, minLrRatio: 0.1 },
    ...{ clipNorm: 1, seed: 1, saveEvery: 60, logEvery: 60, evalEvery: 60, keepLast: 1 },
  };
  const loss = (): number => scope(() => model.loss({ ids: ids(), labels: ids(), visual: null }).loss.item());
  const before = loss();
  await runTraining(task, config, { out: join(root, 'run'), recipe: {}, resume: false, log: () => {} });
  assert.ok(loss() < before - 0.3, `${before} to ${loss()}`);
  assert.equal(
    scope(() => model.languageModel.model.embedTokens.weight.detach().to('f64').sum().item()),
    frozen,
  );
  const [checkpoint] = readdirSync(join(root, 'run')).filter((name) => name.includes('60'));
  const files = readdirSync(join(root, 'run', checkpoint!)).filter((name) => name.endsWith('.safetensors'));
  const keys = files.flatMap((name) => [
    ...scope(() => io.readSafetensors(join(root, 'run', checkpoint!, name))).keys(),
  ]);
  const weights = keys.filter((key) => key.startsWith('model.'));
  assert.equal(weights.length, 28);
  assert.ok(weights.every((key) => /lora_[AB]\.weight$/.test(key)));
});
