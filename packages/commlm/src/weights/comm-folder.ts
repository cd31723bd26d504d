/** Our own model folder: `config.json`, `model.safetensors` or shards with an index, and the tokenizer's files beside them. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { BYTES_PER_ELEMENT, type DType, io, noGrad, scope, type Tensor } from '@commlm/torch';
import { anything, type Checks, checkOptions } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import { CommConfig, fromJson, toJson } from '../config/model.js';
import { copyDurably, writeJson } from '../files/durable.js';
import type { Comm } from '../models/comm.js';
import { readFolderJson } from './files/hf-config.js';
import { WeightFiles } from './files/weight-files.js';
import { same } from './key-rules.js';
import { NO_LEFTOVERS } from './leftover.js';
import { buildComm } from './quantise.js';
import { type LoadedComm, type ReadOptions, readWhole, type WholeModel } from './whole-model.js';

/** Options of `loadCommFolder`. */
export type LoadCommOptions = ReadOptions;

const READING: Checks<LoadCommOptions> = {
  dtype: anything,
  device: anything,
  checkFinite: anything,
  onWeight: anything,
};

/** Reads and checks `config.json` of a folder without touching the weights. */
export function readCommConfig(folder: string): CommConfig {
  const json = readFolderJson(folder, 'config.json');
  const path = join(folder, 'config.json');
  if (json['model_type'] !== 'comm') {
    throw new CommError(`${path} describes a model of type '${String(json['model_type'])}', not 'comm'.`, {
      code: 'weights/model-type',
      fix: 'Name a folder written by this program.',
    });
  }
  return fromJson(CommConfig, json, path);
}

const TABLE = 'language_model.model.embed_tokens.weight';
const HEAD = 'language_model.lm_head.weight';

/** What our own folder holds: its keys are ours. No weights are read. */
export function describeComm(folder: string): WholeModel {
  const config = readCommConfig(folder);
  using model = buildComm(config);
  return {
    modelType: 'comm',
    config,
    tokenizer: folder,
    openWeights: () => WeightFiles.open(folder),
    rules: [...model.stateDict().keys()].map((key) => same(key, key)),
    leftovers: NO_LEFTOVERS,
    tiedHead: config.textConfig.tieWordEmbeddings ? { table: same(TABLE, TABLE), head: same(HEAD, HEAD) } : undefined,
  };
}

/** Opens a model: config checked, module built without memory, weights mapped; missing, unexpected, misshaped or NaN tensors stop it. Gradients are off. */
export function loadCommFolder(folder: string, options: LoadCommOptions = {}): LoadedComm {
  checkOptions(options, READING, { what: 'The options of a model folder' });
  return readWhole(describeComm(folder), options);
}

/** Files of a tokenizer that travel with the model. */
export const TOKENIZER_FILES: readonly string[] = [
  'tokenizer.json',
  'tokenizer.model',
  'tokenizer_config.json',
  'added_tokens.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'chat_template.json',
  'generation_config.json',
];

/** Options of `saveCommFolder`. */
export interface SaveCommOptions {
  /** Folder whose tokenizer files are copied. */
  readonly tokenizer?: string | undefined;
  /** Dtype of the stored floating-point weights; by default the model's own. */
  readonly dtype?: DType | undefined;
  /** Largest file; beyond it the weights are split into shards with an index. */
  readonly maxShardBytes?: number | undefined;
  /** Parts that are marked as untrained, in place of those that the model's config marks. */
  readonly untrained?: readonly string[] | undefined;
  /** Written in place of the model's own tensors, e.g. with adapters merged in. */
  readonly weights?: readonly StoredWeight[] | undefined;
}

const SAVING: Checks<SaveCommOptions> = {
  tokenizer: anything,
  dtype: anything,
  maxShardBytes: anything,
  untrained: anything,
  weights: anything,
};

/** Writes a model; each file appears whole or not at all, config.json last, so that a folder with it is complete. */
export function saveCommFolder(folder: string, model: Comm, options: SaveCommOptions = {}): void {
  checkOptions(options, SAVING, { what: 'The options of a model to write' });
  const own = (): StoredWeight[] =>
    [...model.stateDict()].map(([key, tensor]) => ({
      ...{ key, shape: tensor.shape, dtype: tensor.dtype },
      load: () => tensor.detach(),
    }));
  const { untrained: marked, ...config } = model.config;
  const untrained = [...(options.untrained ?? marked ?? [])];
  writeCommFolder(
    folder,
    untrained.length === 0 ? config : { ...config, untrained },
    options.weights ?? own(),
    options,
  );
}

/** A weight that is not read yet. */
export interface StoredWeight {
  readonly key: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** Called once, inside a scope; it may be a fresh tensor or a mapped one. */
  readonly load: () => Tensor;
}

/** The same from weights that are made one file at a time: never more than `maxShardBytes` of them are in memory. */
export function writeCommFolder(
  folder: string,
  config: CommConfig,
  weights: readonly StoredWeight[],
  options: SaveCommOptions = {},
): void {
  writeWeights(folder, weights, options);
  if (options.tokenizer !== undefined) copyTokenizer(options.tokenizer, folder);
  writeJson(join(folder, 'preprocessor_config.json'), preprocessing(config));
  writeJson(join(folder, 'config.json'), toJson(config));
}

/** Copies the files of a tokenizer that are there. */
export function copyTokenizer(from: string, folder: string): void {
  for (const name of TOKENIZER_FILES) {
    if (existsSync(join(from, name))) copyDurably(join(from, name), join(folder, basename(name)));
  }
}

/** Weights as `model.safetensors`, or as shards with an index; lazy ones exist one at a time. Makes the folder. */
export function writeWeights(
  folder: string,
  weights: readonly StoredWeight[],
  { dtype, maxShardBytes = 5e9 }: Pick<SaveCommOptions, 'dtype' | 'maxShardBytes'> = {},
): void {
  mkdirSync(folder, { recursive: true });
  const planned = weights.map((weight): Planned => ({ ...weight, to: storedAs(weight.dtype, dtype) }));
  const shards = intoShards(planned, maxShardBytes);
  const write = (name: string, part: readonly Planned[]): void =>
    noGrad(() =>
      scope(() =>
        io.writeSafetensors(
          join(folder, name),
          // Lazy, so that a change of dtype never holds more than one tensor twice.
          part.map(({ key, shape, load, to }) => [key, { dtype: to, shape, read: () => load().to(to) }] as const),
          { format: 'pt' },
        ),
      ),
    );
  if (shards.length === 1) {
    write('model.safetensors', shards[0]!);
  } else {
    const nameOf = (i: number): string => `model-${counted(i + 1)}-of-${counted(shards.length)}.safetensors`;
    for (const [i, shard] of shards.entries()) write(nameOf(i), shard);
    const weightMap = Object.fromEntries(shards.flatMap((shard, i) => shard.map(({ key }) => [key, nameOf(i)])));
    const totalSize = planned.reduce((sum, weight) => sum + numBytes(weight), 0);
    const index = { metadata: { total_size: totalSize }, weight_map: weightMap };
    writeJson(join(folder, 'model.safetensors.index.json'), index);
    // A single file of an earlier save would win over the shards.
    rmSync(join(folder, 'model.safetensors'), { force: true });
  }
}

/** For tools that look for this file: how each encoder's picture is prepared, as `vision.encoders[i].image` says it. */
const preprocessing = ({ vision }: CommConfig): object => ({
  image_processor_type: 'CommImageProcessor',
  encoders: vision.encoders.map(({ type, image }) => ({ type, ...(toJson(image) as object) })),
});

/** A weight and the dtype that it is stored in. */
type Planned = StoredWeight & { readonly to: DType };

const numBytes = ({ shape, to }: Planned): number => shape.reduce((a, b) => a * b, 1) * BYTES_PER_ELEMENT[to];

/** Counters (BatchNorm's) keep their integer type. */
const storedAs = (own: DType, wanted: DType | undefined): DType =>
  wanted === undefined || !['f64', 'f32', 'f16', 'bf16'].includes(own) ? own : wanted;

const counted = (n: number): string => String(n).padStart(5, '0');

function intoShards(weights: readonly Planned[], maxBytes: number): Planned[][] {
  const shards: Planned[][] = [[]];
  let filled = 0;
  for (const weight of weights) {
    const bytes = numBytes(weight);
    if (filled > 0 && filled + bytes > maxBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(weight);
    filled += bytes;
  }
  return shards;
}
