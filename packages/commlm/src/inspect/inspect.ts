/**
 * What a model folder holds, from its config and the headers of its weight files; no weights but the few level scales.
 */
import { basename } from 'node:path';
import { BYTES_PER_ELEMENT, type DType, noGrad, scope } from '@commlm/torch';
import { type EncodedFormat, FLOAT_FORMATS, type FloatFormat } from '../config/formats.js';
import { type CommConfig, type EncoderConfig, resolveLevels, tokensPerImage } from '../config/model.js';
import { resolveFolders, resolveModelFolder } from '../hub/model-folder.js';
import { isEncoderFolder } from '../weights/encoder-reader.js';
import { openEncoderFiles } from '../weights/files/encoder-files.js';
import { readFolderJson } from '../weights/files/hf-config.js';
import { WeightFiles } from '../weights/files/weight-files.js';
import { FORMATS } from '../weights/formats.js';
import type { TensorSource } from '../weights/key-rules.js';
import { languageModelTypes } from '../weights/layouts/hf-language.js';
import { describeModel, isWholeModel } from '../weights/open-model.js';
import type { WeightSource, WholeModel } from '../weights/whole-model.js';
import { describeEncoder } from './encoder.js';
import { describeLanguageModel, type LanguageReport } from './language.js';

/** One part of a model. */
export interface ModelPart {
  /** Key prefix of its weights, e.g. `vision.encoders.0.vit`. */
  readonly name: string;
  /** What it is, e.g. `clip ViT, 24 blocks of 1024, patch 14`. */
  readonly description: string;
  readonly numParameters: number;
  readonly numTensors: number;
  /** Number formats of its weights on disk. */
  readonly dtypes: readonly DType[];
  readonly bytes: number;
}

/** The learned weights of one encoder's levels: alpha (first encoder) or beta. No importance: the maps of the levels rescale them. */
export interface LevelWeights {
  readonly encoder: string;
  /** Place of the encoder in the model. */
  readonly index: number;
  readonly symbol: string;
  /** `hidden_states` indices. */
  readonly levels: readonly number[];
  /** The factor of each level; they sum to 1 under softmax. */
  readonly weights: readonly number[];
}

/** What `commlm inspect --json` prints. */
export interface ModelReport {
  readonly model: string;
  readonly folder: string;
  readonly modelType: string;
  readonly summary: string;
  readonly numParameters: number;
  readonly bytesOnDisk: number;
  /** Bytes of the weights in each number format that a model can run in. */
  readonly memory: Readonly<Record<FloatFormat, number>> & {
    /** Only for whole models: large matrices in few bits, the rest in floats. */
    readonly [format in EncodedFormat]?: number;
  };
  readonly parts: readonly ModelPart[];
  readonly levelWeights: readonly LevelWeights[];
  /** Tokens of one picture in the language model; only for models that look. */
  readonly tokensPerImage?: number;
  readonly maxPositions?: number | undefined;
  /** Parts with fresh weights, which have to be trained before the model can answer. */
  readonly untrained: readonly string[];
  /** Tensors on disk that loading passes over, because the model computes them or does not have them (a text tower). */
  readonly ignored: readonly string[];
}

interface Entry {
  readonly key: string;
  readonly dtype: DType;
  readonly numElements: number;
  /** Length of the first axis: how many scales a quantised matrix has. */
  readonly numRows: number;
  /** Whether it is a matrix that int8 quantises; the embedding table is none. */
  readonly isMatrix: boolean;
  /** Whether it holds the scales of a quantised matrix, which are no parameters. */
  readonly isScale: boolean;
}

/** Folders beside the model's own, as `loadModel` takes them. */
export interface InspectOptions {
  readonly visionTower?: readonly string[];
  readonly base?: string;
}

/** Describes a model folder; throws CommError when it is none or its files cannot be read. */
export function inspectModel(model?: string, options: InspectOptions = {}): ModelReport {
  const folder = resolveModelFolder(model);
  if (isEncoderFolder(folder)) return inspectEncoder(folder);
  const json = readFolderJson(folder, 'config.json');
  const whole = isWholeModel(json) ? describeModel(folder, resolveFolders(options)) : undefined;
  const config = whole?.config;
  const files = whole === undefined ? WeightFiles.open(folder) : whole.openWeights();
  try {
    const language = languageModelTypes.includes(String(json.model_type))
      ? describeLanguageModel(json, folder, files)
      : undefined;
    const described = report(folder, json, config, language, files, entriesOf(files, whole));
    return { ...described, ignored: ignoredKeys(files, whole) };
  } finally {
    files.close();
  }
}

/** The report of a picture encoder alone; its parts have our names, what loading passes over has its own. */
function inspectEncoder(folder: string): ModelReport {
  using files = openEncoderFiles(folder);
  const { modelType, summary, parts, source, names, ignored } = describeEncoder(folder, files);
  const entries = source.keys.map((key): Entry => entryOf(names.get(key) ?? key, source.info(key)));
  const described = report(folder, { model_type: modelType }, undefined, { summary, parts }, source, entries);
  return { ...described, ignored };
}

/** What the layout's adapter knows of and the files hold; nothing is known of other layouts. */
function ignoredKeys(files: WeightSource, whole: WholeModel | undefined): string[] {
  if (whole === undefined) return [];
  const used = new Set(whole.rules.flatMap(({ theirs }) => theirs));
  return files.keys.filter((key) => !used.has(key) && whole.leftovers(key) !== undefined);
}

/** All stored tensors; those of a known layout under our names, so that they fall into the parts of a model. */
function entriesOf(files: WeightSource, whole: WholeModel | undefined): Entry[] {
  const ours = new Map(whole?.rules.flatMap((rule) => rule.theirs.map((key) => [key, rule.ours] as const)));
  return files.keys.map((key): Entry => entryOf(ours.get(key) ?? key, files.info(key)));
}

/** What is known of a part of a model that stands alone. */
type Described = Pick<LanguageReport, 'summary' | 'parts'> & Partial<LanguageReport>;

function report(
  folder: string,
  json: Record<string, unknown>,
  config: CommConfig | undefined,
  described: Described | undefined,
  files: TensorSource,
  entries: readonly Entry[],
): Omit<ModelReport, 'ignored'> {
  const parts = groupParts(entries, config === undefined ? (described?.parts ?? []) : commParts(config));
  const numParameters = countParameters(entries);
  return {
    model: basename(folder),
    folder,
    modelType: String(json.model_type ?? 'unknown'),
    summary: config === undefined ? (described?.summary ?? otherSummary(json)) : commSummary(config),
    numParameters,
    bytesOnDisk: parts.reduce((sum, { bytes }) => sum + bytes, 0),
    memory: {
      ...floatBytes(numParameters),
      ...(config === undefined ? {} : { int8: int8Bytes(entries) }),
    },
    parts,
    levelWeights:
      config === undefined ? [] : config.vision.encoders.flatMap((encoder, i) => levelWeights(encoder, i, files)),
    maxPositions: described?.maxPositions,
    untrained: config?.untrained ?? [],
    ...(config === undefined
      ? {}
      : { tokensPerImage: tokensPerImage(config), maxPositions: config.textConfig.maxPositions }),
  };
}

function entryOf(key: string, { dtype, shape }: { dtype: DType; shape: readonly number[] }): Entry {
  return {
    key,
    dtype,
    numElements: shape.reduce((product, size) => product * size, 1),
    numRows: shape[0] ?? 1,
    isMatrix: shape.length === 2 && FORMATS.int8.encoding.matches(key) && !key.endsWith('embed_tokens.weight'),
    isScale: shape.length === 1 && FORMATS.int8.encoding.matches(key) && key.endsWith('.scale'),
  };
}

const floatBytes = (numParameters: number): Record<FloatFormat, number> =>
  Object.fromEntries(FLOAT_FORMATS.map((format) => [format, numParameters * BYTES_PER_ELEMENT[format]])) as Record<
    FloatFormat,
    number
  >;

const countParameters = (entries: readonly Entry[]): number =>
  entries.reduce((sum, { numElements, isScale }) => sum + (isScale ? 0 : numElements), 0);

/** Bytes in int8: one a quantised weight and two a row for its scale, two for every other parameter. */
const int8Bytes = (entries: readonly Entry[]): number =>
  entries.reduce((sum, { numElements, numRows, isMatrix, isScale }) => {
    if (isScale) return sum;
    return sum + (isMatrix ? numElements + 2 * numRows : 2 * numElements);
  }, 0);

/** Prefixes that make a part of a COMM model, with what stands behind them. */
function commParts(config: CommConfig): [prefix: string, description: string][] {
  const { vision, projector, textConfig } = config;
  return [
    ...vision.encoders.flatMap((encoder, i): [string, string][] => {
      const { vit, type, merge, align } = encoder;
      const numLevels = resolveLevels(encoder.levels, vit.numLayers).length;
      const stem = vit.stem.kind === 'conv' ? 'convolutional stem' : `patch ${vit.patchSize}`;
      return [
        [
          `vision.encoders.${i}.vit`,
          `${type} ViT, ${vit.numLayers} blocks of ${vit.hiddenSize}, ${stem}, ${vit.imageSize} px`,
        ],
        [`vision.encoders.${i}.merge`, `${merge.kind} over ${numLevels} ${numLevels === 1 ? 'level' : 'levels'}`],
        [
          `vision.encoders.${i}.align`,
          align.kind === 'mlp' ? `MLP, ${align.blocks} blocks at ratio ${align.ratio}` : align.kind,
        ],
      ];
    }),
    ['projector', projectorText(projector)],
    [
      'language_model',
      `Llama type, ${textConfig.numLayers} blocks of ${textConfig.hiddenSize}, ${textConfig.numHeads} heads (${textConfig.numKvHeads} for keys), vocabulary ${textConfig.vocabSize}`,
    ],
  ];
}

const projectorText = (projector: CommConfig['projector']): string => {
  if (projector.kind === 'mlp') return `MLP of ${projector.layers} layers`;
  return projector.kind === 'linear' ? 'linear' : `pixel shuffle by ${projector.factor}, then linear`;
};

function groupParts(entries: readonly Entry[], known: readonly [prefix: string, description: string][]): ModelPart[] {
  const groups = new Map<string, { description: string; entries: Entry[] }>();
  for (const [prefix, description] of known) groups.set(prefix, { description, entries: [] });
  for (const entry of entries) {
    const prefix = known.find(([name]) => entry.key.startsWith(`${name}.`))?.[0] ?? topPrefix(entry.key);
    const group = groups.get(prefix) ?? { description: '', entries: [] };
    group.entries.push(entry);
    groups.set(prefix, group);
  }
  return [...groups]
    .filter(([, group]) => group.entries.length > 0)
    .map(([name, { description, entries: members }]) => ({
      name,
      description,
      numParameters: countParameters(members),
      numTensors: members.length,
      dtypes: [...new Set(members.map(({ dtype }) => dtype))],
      bytes: members.reduce((sum, { numElements, dtype }) => sum + numElements * BYTES_PER_ELEMENT[dtype], 0),
    }));
}

/** The names of a key before its first number, at most two: `vision_model.encoder.layers.3...` -> `vision_model.encoder`. */
function topPrefix(key: string): string {
  const names = key.split('.');
  const numbered = names.findIndex((name) => /^\d+$/.test(name));
  return names.slice(0, Math.max(1, Math.min(2, numbered < 0 ? names.length - 1 : numbered))).join('.');
}

function commSummary({ vision, projector, textConfig }: CommConfig): string {
  const encoders = vision.encoders.map(({ type, levels, vit }) => {
    const resolved = resolveLevels(levels, vit.numLayers);
    const first = resolved[0]!;
    const last = resolved.at(-1) as number;
    const run = resolved.every((level, i) => level === first + i);
    return `${type} levels ${resolved.length === 1 ? first : run ? `${first}-${last}` : resolved.join(',')}`;
  });
  const join_ = vision.fuse === 'channels' ? 'channels' : 'tokens';
  return `${encoders.join(' + ')} (${join_}) -> ${projector.kind} -> Llama type of ${textConfig.numLayers} blocks`;
}

function otherSummary(json: Record<string, unknown>): string {
  const architectures = Array.isArray(json.architectures) ? json.architectures.join(', ') : '';
  return architectures === '' ? 'not a COMM model' : architectures;
}

const SYMBOLS = ['alpha', 'beta', 'gamma', 'delta'];

function levelWeights(encoder: EncoderConfig, index: number, files: TensorSource): LevelWeights[] {
  const { merge, type, vit } = encoder;
  if (!('weights' in merge)) return [];
  const key = `vision.encoders.${index}.merge.scale.weight`;
  if (!files.keys.includes(key)) return [];
  const { kind } = merge.weights;
  const weights = scope(() =>
    noGrad(() => {
      const stored = files.tensor(key).to('f32');
      return Array.from((kind === 'softmax' ? stored.softmax(0) : stored).toArray() as Float32Array);
    }),
  );
  return [
    {
      encoder: type,
      index,
      symbol: SYMBOLS[index] ?? `scale ${index}`,
      levels: resolveLevels(encoder.levels, vit.numLayers),
      weights,
    },
  ];
}
