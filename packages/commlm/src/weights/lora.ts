/**
 * LoRA adapters in the layout of the peft library: `adapter_config.json` with `adapter_model.safetensors` or `.bin`. A
 * weight is merged when it is read, W + scale * B A in f32 and back to the stored dtype, so that one at a time is held.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type DType, noGrad, scope, type Tensor } from '@commlm/torch';
import { z } from 'zod';
import { CommError } from '../config/errors.js';
import { nearestName } from '../config/json.js';
import { copyDurably } from '../files/durable.js';
import { refuseFilled, writeFolder } from '../files/whole-folder.js';
import { type StoredWeight, writeWeights } from './comm-folder.js';
import { readFolderJson, readForeign } from './hf-config.js';
import { WeightFiles } from './weight-files.js';
import type { WeightSource } from './whole-model.js';

const CONFIG = 'adapter_config.json';
const WEIGHTS = ['adapter_model.safetensors', 'adapter_model.bin'];

const LoraConfig = z.looseObject({
  peft_type: z.string(),
  r: z.int().positive(),
  lora_alpha: z.number(),
  fan_in_fan_out: z.boolean().nullish(),
  use_rslora: z.boolean().nullish(),
  rank_pattern: z.record(z.string(), z.int().positive()).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
  // Ways to begin; those that change the base model as well are refused, for the base here is the unchanged one.
  init_lora_weights: z.union([z.boolean(), z.enum(['gaussian', 'eva', 'orthogonal'])]).nullish(),
});

/** Fields that say how an adapter was trained or where it goes; which tensors it has is read from its weights. */
const HARMLESS = new Set([
  ...['peft_type', 'peft_version', 'r', 'lora_alpha', 'fan_in_fan_out', 'use_rslora', 'rank_pattern', 'alpha_pattern'],
  ...['auto_mapping', 'base_model_name_or_path', 'bias', 'corda_config', 'ensure_weight_tying', 'eva_config'],
  ...[
    'exclude_modules',
    'inference_mode',
    'init_lora_weights',
    'layers_pattern',
    'layers_to_transform',
    'loftq_config',
  ],
  ...['lora_dropout', 'lora_ga_config', 'megatron_config', 'megatron_core', 'modules_to_save', 'qalora_group_size'],
  ...['revision', 'runtime_config', 'target_modules', 'task_type'],
]);

/** Values that leave a field out. */
const isOff = (value: unknown): boolean =>
  value === null || value === false || (typeof value === 'object' && Object.keys(value as object).length === 0);

type LoraConfig = z.infer<typeof LoraConfig>;

function readConfig(folder: string): LoraConfig {
  const source = join(folder, CONFIG);
  const json = readFolderJson(folder, CONFIG);
  const config = readForeign(LoraConfig, json, source);
  const refuse = (what: string): never => {
    throw new CommError(`${source} asks for ${what}, which cannot be merged here.`, {
      code: 'lora/unsupported',
      fix: 'Merge it with the library that made it, and name the merged model.',
    });
  };
  if (config.peft_type !== 'LORA') refuse(`an adapter of type ${config.peft_type}`);
  if (json['use_dora'] === true) refuse('DoRA (use_dora)');
  for (const [field, value] of Object.entries(json)) {
    if (!HARMLESS.has(field) && !isOff(value)) refuse(`'${field}'`);
  }
  for (const pattern of [...Object.keys(config.rank_pattern ?? {}), ...Object.keys(config.alpha_pattern ?? {})]) {
    if (!/^\^?[\w.]+$/.test(pattern)) refuse(`the pattern '${pattern}'`);
  }
  return config;
}

/** The value of a pattern for a module: the pattern is the end of its name, or all of it behind a '^'. */
function matching<Value>(
  patterns: Readonly<Record<string, Value>> | null | undefined,
  module: string,
): Value | undefined {
  const found = Object.entries(patterns ?? {}).find(([pattern]) =>
    pattern.startsWith('^') ? pattern.slice(1) === module : module === pattern || module.endsWith(`.${pattern}`),
  );
  return found?.[1];
}

/** Names of the two factors of one module within the adapter's weights. */
interface Factors {
  a?: string;
  b?: string;
  embedding: boolean;
}

/** An adapter's tensors by what they do to the model: factors to add, tensors to put in place of the model's own. */
function sortKeys(files: WeightFiles): { factors: Map<string, Factors>; replaced: Map<string, string> } {
  const factors = new Map<string, Factors>();
  const replaced = new Map<string, string>();
  for (const key of files.keys) {
    const name = key.replace(/^base_model\.model\./, '');
    const factor = /^(.*)\.lora_(embedding_)?([AB])(?:\.default)?(?:\.weight)?$/.exec(name);
    if (factor !== null) {
      const [, module = '', embedding, which] = factor;
      const entry = factors.get(module) ?? { embedding: embedding !== undefined };
      factors.set(module, { ...entry, [which === 'A' ? 'a' : 'b']: key });
    } else if (name.includes('.lora_')) {
      const kind = name.includes('lora_magnitude_vector') ? 'DoRA' : 'a variant of LoRA';
      throw new CommError(`${files.name} holds '${name}', which belongs to ${kind} and cannot be merged here.`, {
        code: 'lora/unsupported',
        fix: 'Merge it with the library that made it, and name the merged model.',
      });
    } else replaced.set(name.replace(/\.(?:base_layer|modules_to_save\.default)(?=\.)/, ''), key);
  }
  return { factors, replaced };
}

/** One name for what versions of transformers nest differently. */
const loose = (name: string): string =>
  name
    .replace(/^model\.(?=language_model\.|vision_tower\.|multi_modal_projector\.)/, '')
    .replace(/^language_model\.(?=lm_head\.)/, '')
    .replace(/^language_model\.model\./, 'language_model.')
    .replace(/^vision_tower\.vision_model\./, 'vision_tower.');

/** How one tensor of the model changes. */
type Change =
  | { readonly kind: 'replace'; readonly key: string }
  | {
      readonly kind: 'add';
      readonly a: string;
      readonly b: string;
      readonly scale: number;
      readonly transpose: boolean;
    };

const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** What an adapter does to each tensor of a model; throws a CommError for what does not fit. */
function planChanges(model: WeightSource, files: WeightFiles, config: LoraConfig): Map<string, Change> {
  const exact = new Set(model.keys);
  const byLoose = new Map(model.keys.map((key) => [loose(key), key]));
  const find = (name: string): string => {
    const key = exact.has(name) ? name : byLoose.get(loose(name));
    if (key !== undefined) return key;
    const near = nearestName(name, model.keys);
    throw new CommError(`${files.name} changes '${name}', which ${model.name} does not have.`, {
      code: 'lora/keys',
      fix: `${near === undefined ? '' : `The nearest name is '${near}'. `}Name the model that the adapter was made for.`,
    });
  };
  const misfit = (why: string): never => {
    throw new CommError(`${files.name} does not fit: ${why}.`, {
      code: 'lora/shape',
      fix: 'Name the model that the adapter was made for.',
    });
  };
  const { factors, replaced } = sortKeys(files);
  const changes = new Map<string, Change>();
  for (const [name, key] of replaced) changes.set(find(name), { kind: 'replace', key });
  for (const [module, { a, b, embedding }] of factors) {
    if (a === undefined || b === undefined) return misfit(`'${module}' has one of its two factors only`);
    const [shapeA, shapeB] = [files.info(a).shape, files.info(b).shape];
    const rank = matching(config.rank_pattern, module) ?? config.r;
    if (shapeA.length !== 2 || shapeB.length !== 2 || shapeA[0] !== rank || shapeB[1] !== rank) {
      return misfit(
        `the factors of '${module}' are ${shapeText(shapeA)} and ${shapeText(shapeB)}, its rank is ${rank}`,
      );
    }
    const key = find(`${module}.weight`);
    const transpose = embedding || config.fan_in_fan_out === true;
    const delta = [shapeB[0]!, shapeA[1]!];
    if (transpose) delta.reverse();
    const { dtype, shape } = model.info(key);
    if (!['f64', 'f32', 'f16', 'bf16'].includes(dtype)) return misfit(`'${key}' is stored as ${dtype}`);
    if (shape.join() !== delta.join()) {
      return misfit(`'${key}' is ${shapeText(shape)}, the adapter adds ${shapeText(delta)}`);
    }
    const alpha = matching(config.alpha_pattern, module) ?? config.lora_alpha;
    const scale = alpha / (config.use_rslora === true ? Math.sqrt(rank) : rank);
    changes.set(key, { kind: 'add', a, b, scale, transpose });
  }
  return changes;
}

/** W + scale * B A (transposed for embeddings) in f32, in the dtype of W. */
export function mergeFactors(weight: Tensor, a: Tensor, b: Tensor, scale: number, transpose = false): Tensor {
  return scope(() =>
    noGrad(() => {
      const delta = b.to('f32').matmul(a.to('f32')).mul(scale);
      return weight
        .to('f32')
        .add(transpose ? delta.t() : delta)
        .to(weight.dtype);
    }),
  );
}

/**
 * A model's weights with an adapter merged into those that it changes, each when it is read. Throws a CommError for an
 * adapter of another kind (DoRA and others are named), one that does not fit the model, or parts of it left over.
 */
export function withLora(model: WeightSource, folder: string): WeightSource {
  const config = readConfig(folder);
  const path = WEIGHTS.map((name) => join(folder, name)).find((name) => existsSync(name));
  if (path === undefined) {
    throw new CommError(`There are no weights in the adapter ${folder} (${WEIGHTS[0]} is missing).`, {
      code: 'weights/missing-file',
      fix: 'Get the adapter again.',
    });
  }
  const files = WeightFiles.open(path);
  const changes = planChanges(model, files, config);
  return {
    name: model.name,
    keys: model.keys,
    numBytes: model.numBytes,
    info: (key) => {
      const change = changes.get(key);
      const own = model.info(key);
      return change?.kind === 'replace' ? { ...own, shape: files.info(change.key).shape } : own;
    },
    tensor: (key) => {
      const change = changes.get(key);
      if (change === undefined) return model.tensor(key);
      return scope(() =>
        change.kind === 'replace'
          ? files.tensor(change.key).to(model.info(key).dtype)
          : mergeFactors(
              model.tensor(key),
              files.tensor(change.a),
              files.tensor(change.b),
              change.scale,
              change.transpose,
            ),
      );
    },
    close: () => {
      files.close();
      model.close();
    },
  };
}

/** Options of `mergeLora`. */
export interface MergeOptions {
  readonly dtype?: DType;
  readonly maxShardBytes?: number;
  readonly onWeight?: (done: number, total: number) => void;
}

/** Files that describe a model and are not its weights. */
const DESCRIPTION = /\.(json|jinja|model|txt|tiktoken)$/;

/** Writes a model folder of any layout with an adapter merged in, in that layout; throws a CommError for an `out` that holds files. */
export function mergeLora(
  folder: string,
  adapter: string,
  out: string,
  { dtype, maxShardBytes = 5e9, onWeight }: MergeOptions = {},
): { numTensors: number; numParameters: number } {
  refuseFilled(out);
  const source = withLora(WeightFiles.open(folder), adapter);
  try {
    let done = 0;
    const weights = source.keys.map((key): StoredWeight => {
      const load = (): Tensor => {
        onWeight?.(++done, source.keys.length);
        return source.tensor(key);
      };
      return { key, ...source.info(key), load };
    });
    writeFolder(out, (part) => {
      writeWeights(part, weights, { maxShardBytes, ...(dtype === undefined ? {} : { dtype }) });
      const names = readdirSync(folder).filter((name) => DESCRIPTION.test(name) && !name.endsWith('.index.json'));
      for (const name of names) copyDurably(join(folder, name), join(part, name));
    });
    const numParameters = weights.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    return { numTensors: weights.length, numParameters };
  } finally {
    source.close();
  }
}
