/**
 * LoRA adapters in the layout of the peft library: `adapter_config.json` with `adapter_model.safetensors` or `.bin`. A
 * weight is merged when it is read, W + scale * B A in f32 and back to the stored dtype, so that one at a time is held.
 * Every tensor of an adapter changes the model, or is refused by name.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type DType, isFloating, noGrad, scope, type Tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import { nearestName } from '../config/json.js';
import { copyDurably, writeJson } from '../files/durable.js';
import { refuseFilled, writeFolder } from '../files/whole-folder.js';
import { type StoredWeight, writeWeights } from './comm-folder.js';
import { type AdapterFiles, openAdapterFiles } from './files/adapter-files.js';
import { refuseQuantisedConfig } from './files/foreign-quantization.js';
import { readFolderJson } from './files/hf-config.js';
import { isSavedModule, type LoraConfig, rankAndScale, readLoraConfig } from './files/lora-config.js';
import { WeightFiles } from './files/weight-files.js';
import type { TensorSource } from './key-rules.js';
import { isLanguageModel, tiedHeadOf } from './layouts/hf-language.js';
import { holdsSame, isUntied, keysOf, type TiedHead, withBoth } from './layouts/tied-head.js';
import type { WeightSource } from './whole-model.js';

/** Names of the two factors of one module within the adapter's weights. */
interface Factors {
  a?: string;
  b?: string;
  embedding: boolean;
}

/** A tensor of an adapter that takes the place of the model's own. */
interface Replacement {
  readonly files: WeightFiles;
  readonly key: string;
}

/** An adapter's tensors by what they do to the model: factors to add, tensors to put in place of the model's own. */
interface Sorted {
  readonly factors: ReadonlyMap<string, Factors>;
  readonly replaced: ReadonlyMap<string, Replacement>;
}

function sortKeys(files: WeightFiles, whole: WeightFiles | undefined): Sorted {
  const factors = new Map<string, Factors>();
  const replaced = new Map<string, Replacement>();
  const replace = (name: string, by: Replacement): void => {
    const other = replaced.get(name);
    if (other !== undefined) throw twice(name, other.files.name, by.files.name);
    replaced.set(name, by);
  };
  for (const key of files.keys) {
    const name = key.replace(/^base_model\.model\./, '');
    const factor = /^(.*)\.lora_(embedding_)?([AB])(?:\.default)?(?:\.weight)?$/.exec(name);
    if (factor !== null) {
      const [, module = '', embedding, which] = factor;
      const entry = factors.get(module) ?? { embedding: embedding !== undefined };
      const slot = which === 'A' ? 'a' : 'b';
      if (entry[slot] !== undefined) throw twice(name, files.name, files.name);
      factors.set(module, { ...entry, [slot]: key });
    } else if (name.includes('.lora_')) {
      const kind = name.includes('lora_magnitude_vector') ? 'DoRA' : 'a variant of LoRA';
      throw new CommError(`${files.name} holds '${name}', which belongs to ${kind} and cannot be merged here.`, {
        code: 'lora/unsupported',
        fix: 'Merge it with the library that made it, and name the merged model.',
      });
    } else replace(name.replace(/\.(?:base_layer|modules_to_save\.default)(?=\.)/, ''), { files, key });
  }
  for (const key of whole?.keys ?? []) replace(key.replace(/^base_model\.model\./, ''), { files: whole!, key });
  return { factors, replaced };
}

const twice = (name: string, one: string, other: string): CommError =>
  new CommError(`The adapter has '${name}' twice, in ${one} and in ${other}.`, {
    code: 'lora/keys',
    fix: 'Get the adapter again, and keep the files of one run only.',
  });

/** One name for what the authors of LLaVA, this program and versions of transformers nest and name differently. */
const loose = (name: string): string =>
  name
    .replace(/^model\.(?=language_model\.|vision_tower\.|multi_modal_projector\.)/, '')
    .replace(/^model\.(?=layers\.|embed_tokens\.|norm\.)/, 'language_model.')
    .replace(/^language_model\.(?=lm_head\.)/, '')
    .replace(/^language_model\.model\./, 'language_model.')
    .replace(/^vision_tower\.vision_tower\./, 'vision_tower.')
    .replace(/^vision_tower\.vision_model\./, 'vision_tower.')
    .replace(/^(?:model\.mm_projector\.0|projector\.layers\.0)\./, 'multi_modal_projector.linear_1.')
    .replace(/^(?:model\.mm_projector\.2|projector\.layers\.1)\./, 'multi_modal_projector.linear_2.');

/** How one tensor of the model changes: another in its place, factors added to it, or both. */
interface Change {
  readonly replacement?: Replacement;
  readonly added?: { readonly a: string; readonly b: string; readonly scale: number; readonly transpose: boolean };
}

const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** What is known of the model that an adapter is merged into. */
export interface LoraTarget {
  /** Where table and head lie when config.json ties them: an adapter of one of them parts them. */
  readonly tiedHead?: TiedHead | undefined;
  /** Whether answers depend on a tensor; by default on all. */
  readonly isUsed?: (key: string) => boolean;
  /** Whether matrices are stored as [in, out], as GPT-2 does; only then peft heeds `fan_in_fan_out`. */
  readonly isTransposed?: boolean;
}

/** What an adapter does to each tensor of a model; throws a CommError for what does not fit. */
function planChanges(
  model: TensorSource,
  { factors: files, whole }: AdapterFiles,
  config: LoraConfig,
  { tiedHead, isTransposed = false }: LoraTarget,
): Map<string, Change> {
  const exact = new Set(model.keys);
  const byLoose = new Map(model.keys.map((key) => [loose(key), key]));
  const find = (name: string, from: WeightFiles): string => {
    const key = exact.has(name) ? name : byLoose.get(loose(name));
    if (key !== undefined) return key;
    const near = nearestName(name, model.keys);
    throw new CommError(`${from.name} changes '${name}', which ${model.name} does not have.`, {
      code: 'lora/keys',
      fix: `${near === undefined ? '' : `The nearest name is '${near}'. `}Name the model that the adapter was made for.`,
    });
  };
  const misfit = (why: string, from: WeightFiles, fix = 'Name the model that the adapter was made for.'): never => {
    throw new CommError(`${from.name} does not fit: ${why}.`, { code: 'lora/shape', fix });
  };
  const refuseIntegers = (key: string, dtype: DType, from: WeightFiles): never =>
    misfit(`'${key}' is stored as ${dtype}`, from, 'Name the model with floats that this one was made from.');
  const { factors, replaced } = sortKeys(files, whole);
  if (factors.size + replaced.size === 0) {
    throw new CommError(`${files.name} holds no tensors.`, { code: 'lora/keys', fix: 'Get the adapter again.' });
  }
  const changes = new Map<string, Change>();
  const own = new Set<string>();
  for (const [name, replacement] of replaced) {
    const key = find(name, replacement.files);
    if (changes.has(key)) throw twice(name, replacement.files.name, replacement.files.name);
    const { dtype, shape } = model.info(key);
    const by = replacement.files.info(replacement.key);
    if (shape.join() !== by.shape.join()) {
      misfit(`'${key}' is ${shapeText(shape)}, the adapter has ${shapeText(by.shape)} for it`, replacement.files);
    }
    if (isFloating(dtype) !== isFloating(by.dtype)) refuseIntegers(key, dtype, replacement.files);
    changes.set(key, { replacement });
    if (isSavedModule(config, name)) own.add(key);
  }
  if (tiedHead !== undefined && !isUntied(model, tiedHead)) shareReplaced(changes, own, keysOf(tiedHead));
  const added = new Set<string>();
  for (const [module, { a, b, embedding }] of factors) {
    if (a === undefined || b === undefined) return misfit(`'${module}' has one of its two factors only`, files);
    const [shapeA, shapeB] = [files.info(a).shape, files.info(b).shape];
    const { rank, scale } = rankAndScale(config, module);
    if (shapeA.length !== 2 || shapeB.length !== 2 || shapeA[0] !== rank || shapeB[1] !== rank) {
      return misfit(
        `the factors of '${module}' are ${shapeText(shapeA)} and ${shapeText(shapeB)}, its rank is ${rank}`,
        files,
      );
    }
    const key = find(`${module}.weight`, files);
    if (added.has(key)) throw twice(module, files.name, files.name);
    added.add(key);
    const transpose = embedding || (isTransposed && config.fan_in_fan_out === true);
    const delta = [shapeB[0]!, shapeA[1]!];
    if (transpose) delta.reverse();
    const { dtype, shape } = model.info(key);
    if (!isFloating(dtype)) return refuseIntegers(key, dtype, files);
    if (shape.join() !== delta.join()) {
      return misfit(`'${key}' is ${shapeText(shape)}, the adapter adds ${shapeText(delta)}`, files);
    }
    changes.set(key, { ...changes.get(key), added: { a, b, scale, transpose } });
  }
  return changes;
}

/** What takes the place of one of two tied tensors takes that of both, but for a module that was trained as a copy. */
function shareReplaced(
  changes: Map<string, Change>,
  own: ReadonlySet<string>,
  [table, head]: readonly [string, string],
): void {
  for (const [from, to] of [
    [table, head],
    [head, table],
  ] as const) {
    const change = changes.get(from);
    if (change !== undefined && !own.has(from) && !changes.has(to)) changes.set(to, change);
  }
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

/** A model's weights with an adapter merged in. */
export interface MergedSource extends WeightSource {
  /** Names of the tensors that the adapter changes. */
  readonly changed: ReadonlySet<string>;
}

/**
 * A model's weights with an adapter merged into those that it changes, each when it is read. Throws a CommError for an
 * adapter of another kind (DoRA and others are named), one that does not fit the model, or parts of it left over.
 */
export function withLora(model: WeightSource, folder: string, target: LoraTarget = {}): MergedSource {
  const config = readLoraConfig(folder);
  const files = openAdapterFiles(folder);
  const close = (): void => {
    files.close();
    model.close();
  };
  try {
    const { tiedHead } = target;
    const both = tiedHead === undefined ? model : withBoth(model, tiedHead);
    const changes = planChanges(both, files, config, target);
    const partsHead = tiedHead !== undefined && keysOf(tiedHead).some((key) => changes.has(key));
    const base: TensorSource = partsHead ? both : model;
    const merged = {
      name: `${model.name} with the adapter ${folder}`,
      keys: base.keys,
      numBytes: model.numBytes,
      changed: new Set(changes.keys()),
      info: (key: string) => base.info(key),
      tensor: (key: string) => scope(() => changed(base, files.factors, key, changes.get(key))),
      close,
    };
    refuseUnused(base, merged, target);
    return merged;
  } catch (error) {
    close();
    throw error;
  }
}

function changed(base: TensorSource, factors: WeightFiles, key: string, change: Change | undefined): Tensor {
  if (change === undefined) return base.tensor(key);
  const { replacement, added } = change;
  const { dtype } = base.info(key);
  const weight = replacement === undefined ? base.tensor(key) : replacement.files.tensor(replacement.key).to(dtype);
  if (added === undefined) return weight;
  return mergeFactors(weight, factors.tensor(added.a), factors.tensor(added.b), added.scale, added.transpose);
}

/** Throws a CommError for a change of a tensor that no answer depends on, unless it changes nothing. */
function refuseUnused(base: TensorSource, merged: MergedSource, { isUsed = () => true }: LoraTarget): void {
  for (const key of merged.changed) {
    if (isUsed(key) || holdsSame(base, key, merged, key)) continue;
    throw new CommError(`The adapter changes '${key}' of ${base.name}, which answers do not depend on.`, {
      code: 'lora/no-effect',
      fix: 'Name the model that the adapter was made for; an adapter of this part cannot be used here.',
    });
  }
}

/** Options of `mergeLora`. */
export interface MergeOptions {
  readonly dtype?: DType | undefined;
  readonly maxShardBytes?: number | undefined;
  readonly onWeight?: ((done: number, total: number) => void) | undefined;
}

/** Files that describe a model and are not its weights. */
const DESCRIPTION = /\.(json|jinja|model|txt|tiktoken)$/;

/** Values of `model_type` whose matrices are transposed (Conv1D of transformers). */
const CONV1D_TYPES = ['gpt2', 'openai-gpt', 'imagegpt', 'decision_transformer'];

/** Without the second of two tied tensors, which holds the same. */
const withoutCopy = (keys: readonly string[], [table, head]: readonly [string, string]): readonly string[] =>
  keys.includes(table) ? keys.filter((key) => key !== head) : keys;

/** Throws a CommError for a changed table of tokens where it is not known whether a head shares it. */
function refuseTables(source: MergedSource, json: Record<string, unknown>, folder: string): void {
  const text = (json['text_config'] ?? {}) as Record<string, unknown>;
  if ((json['tie_word_embeddings'] ?? text['tie_word_embeddings']) === false || isLanguageModel(json)) return;
  const rows = json['vocab_size'] ?? text['vocab_size'];
  const table = [...source.changed].find((key) => {
    const { shape } = source.info(key);
    return shape.length === 2 && shape[0] === rows;
  });
  if (table === undefined) return;
  throw new CommError(`The adapter changes '${table}', and it is not known whether ${folder} ties its head to it.`, {
    code: 'lora/unsupported',
    fix: 'Say tie_word_embeddings: false in config.json if head and embeddings are apart, or merge it with peft.',
  });
}

/**
 * Writes a model folder of any layout with an adapter merged in, in that layout; gives the number of parameters.
 * @throws CommError for an `out` that holds files, and for an adapter that cannot be merged whole.
 */
export function mergeLora(
  folder: string,
  adapter: string,
  out: string,
  { dtype, maxShardBytes = 5e9, onWeight }: MergeOptions = {},
): { numTensors: number; numParameters: number } {
  refuseFilled(out);
  const json = readFolderJson(folder, 'config.json');
  refuseQuantisedConfig(json, join(folder, 'config.json'));
  const tiedHead = tiedHeadOf(json);
  const isTransposed = CONV1D_TYPES.includes(String(json['model_type']));
  const source = withLora(WeightFiles.open(folder), adapter, { tiedHead, isTransposed });
  try {
    if (tiedHead === undefined) refuseTables(source, json, folder);
    const untied = tiedHead !== undefined && isUntied(source, tiedHead);
    const keys = untied || tiedHead === undefined ? source.keys : withoutCopy(source.keys, keysOf(tiedHead));
    let done = 0;
    const weights = keys.map((key): StoredWeight => {
      const load = (): Tensor => {
        onWeight?.(++done, keys.length);
        return source.tensor(key);
      };
      return { key, ...source.info(key), load };
    });
    const write = (part: string): void => {
      writeWeights(part, weights, { maxShardBytes, dtype });
      const names = readdirSync(folder).filter((name) => DESCRIPTION.test(name) && !name.endsWith('.index.json'));
      for (const name of names) copyDurably(join(folder, name), join(part, name));
      // Older versions of transformers tie what the config says is tied.
      if (untied) writeJson(join(part, 'config.json'), { ...json, tie_word_embeddings: false });
    };
    writeFolder(out, write, { replace: false });
    const numParameters = weights.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    return { numTensors: weights.length, numParameters };
  } finally {
    source.close();
  }
}
