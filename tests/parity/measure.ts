/**
 * Parity with the transformers library on the tiny random checkpoints of tests/golden/models, which that library wrote
 * (tools/golden/models.py): every hidden state, pooled output or logits, and gradients.
 *
 * A difference is max |ours - theirs| / max |theirs|, the largest over the tensors of a row.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DType, io, noGrad, scope, type Tensor, zeros } from '@commlm/torch';
import { maxRelDiff } from '@commlm/torch/testing';
import { encoderToHf, loadHfEncoder, loadHfLlama } from 'commlm';
import { forwardBound, gradientBound, type Sizes } from './arithmetic.js';

/** One line of the table. */
export interface ParityRow {
  readonly model: string;
  readonly dtype: DType;
  readonly quantity: string;
  readonly difference: number;
  readonly bound: number;
  readonly ok: boolean;
}

/** In bf16 twice what the reference itself loses against its own f32, for kernels that round at other places. */
const BF16_FACTOR = 2;

const folder = fileURLToPath(new URL('../../golden/models', import.meta.url));

/** Names of the golden models. */
export const goldenModels = (): string[] => readdirSync(folder).sort();

/** All rows of one model. */
export function measure(model: string): ParityRow[] {
  const path = join(folder, model);
  using golden = io.openSafetensors(join(path, 'golden.safetensors'));
  return scope(() => {
    const run = golden.has('f32.logits') ? runLlama : runEncoder;
    return [...exactRows(model, path, golden, run), ...roundedRows(model, path, golden, run)];
  });
}

/** What a model gives for the golden input: outputs by golden name, and its gradients by names on disk once `backward` ran. */
interface Run {
  readonly sizes: Sizes;
  readonly outputs: ReadonlyMap<string, Tensor>;
  readonly input: Tensor;
  readonly inputName: string;
  readonly gradients: () => ReadonlyMap<string, Tensor>;
  readonly dispose: () => void;
}

type Runner = (path: string, golden: io.SafetensorsFile, dtype: DType, train: boolean) => Run;

const runEncoder: Runner = (path, golden, dtype, train) => {
  const { type, vit } = loadHfEncoder(path, { dtype });
  vit.requiresGrad_(train);
  const pixels = golden.tensor('input.pixels').to(dtype).clone();
  if (train) pixels.requiresGrad_();
  const indices = Array.from({ length: vit.config.numLayers + 1 }, (_, i) => i);
  const levels = vit.forward(pixels, indices, { keepSpecial: true });
  const normed = vit.norm.forward(levels.at(-1)!);
  const last: [string, Tensor] = type === 'clip' ? ['pooled', normed.select(1, 0)] : ['normed', normed];
  const gradients = (): Map<string, Tensor> =>
    encoderToHf(
      type,
      vit.config,
      new Map([...vit.namedParameters()].map(([key, parameter]) => [key, parameter.grad ?? zeros(parameter.shape)])),
    );
  const outputs = new Map<string, Tensor>([...levels.map((x, i): [string, Tensor] => [`hidden.${i}`, x]), last]);
  return { sizes: vit.config, outputs, input: pixels, inputName: 'pixels', gradients, dispose: () => vit.dispose() };
};

const runLlama: Runner = (path, golden, dtype, train) => {
  const llama = loadHfLlama(path, { dtype });
  llama.requiresGrad_(train);
  const embeds = golden.tensor('input.embeds').to(dtype).clone();
  if (train) embeds.requiresGrad_();
  const outputs = new Map<string, Tensor>([['hidden.0', embeds]]);
  const context = llama.model.context(embeds);
  let x = embeds;
  for (const [i, layer] of llama.model.layers.entries()) {
    x = layer.forward(x, context, i);
    outputs.set(`hidden.${i + 1}`, x);
  }
  outputs.set('logits', llama.logits(llama.model.norm.forward(x)));
  const gradients = (): Map<string, Tensor> =>
    new Map([...llama.namedParameters()].map(([key, parameter]) => [key, parameter.grad ?? zeros(parameter.shape)]));
  return {
    sizes: llama.config,
    outputs,
    input: embeds,
    inputName: 'embeds',
    gradients,
    dispose: () => llama.dispose(),
  };
};

const largest = (differences: readonly number[]): number => differences.reduce((a, b) => Math.max(a, b), 0);

const row = (model: string, dtype: DType, quantity: string, difference: number, bound: number): ParityRow => ({
  model,
  dtype,
  quantity,
  difference,
  bound,
  // Written so that a NaN is not ok.
  ok: difference <= bound,
});

/** Rows `hidden states` and the last output, from differences by golden name. */
const grouped = (names: Iterable<string>): [string, string[]][] => {
  const all = [...names];
  const hidden = all.filter((name) => name.startsWith('hidden.'));
  return [
    [`hidden states 0..${hidden.length - 1}`, hidden],
    ...all.filter((name) => !name.startsWith('hidden.')).map((name): [string, string[]] => [name, [name]]),
  ];
};

function exactRows(model: string, path: string, golden: io.SafetensorsFile, run: Runner): ParityRow[] {
  const forward = noGrad(() => run(path, golden, 'f32', false));
  const difference = (name: string): number => maxRelDiff(forward.outputs.get(name)!, golden.tensor(`f32.${name}`));
  const rows = grouped(forward.outputs.keys()).map(([quantity, names]) =>
    row(model, 'f32', quantity, largest(names.map(difference)), forwardBound(forward.sizes)),
  );
  forward.dispose();

  const trained = run(path, golden, 'f32', true);
  const losses = [...trained.outputs].flatMap(([name, output]) =>
    golden.has(`input.cotangent.${name}`) ? [output.mul(golden.tensor(`input.cotangent.${name}`)).sum()] : [],
  );
  losses.reduce((a, b) => a.add(b)).backward();
  const gradients = trained.gradients();
  const weights = golden.keys.flatMap((key) => {
    const name = key.slice('grad.'.length);
    return key.startsWith('grad.') && name !== trained.inputName ? [name] : [];
  });
  const ofInput = maxRelDiff(trained.input.grad!, golden.tensor(`grad.${trained.inputName}`));
  const ofWeights = weights.map((name) => maxRelDiff(gradients.get(name)!, golden.tensor(`grad.${name}`)));
  rows.push(
    row(model, 'f32', `gradient of ${trained.inputName}`, ofInput, gradientBound(trained.sizes)),
    row(model, 'f32', `gradients of ${weights.length} weights`, largest(ofWeights), gradientBound(trained.sizes)),
  );
  trained.dispose();
  return rows;
}

function roundedRows(model: string, path: string, golden: io.SafetensorsFile, run: Runner): ParityRow[] {
  const rounded = noGrad(() => run(path, golden, 'bf16', false));
  const rows = grouped(rounded.outputs.keys()).map(([quantity, names]) => {
    const differences = names.map((name) => maxRelDiff(rounded.outputs.get(name)!, golden.tensor(`f32.${name}`)));
    const lost = names.map((name) => golden.tensor(`bf16_error.${name}`).item());
    return row(model, 'bf16', quantity, largest(differences), BF16_FACTOR * largest(lost));
  });
  rounded.dispose();
  return rows;
}
