/** What is known of a whole model of any layout before its weights are read: our config, and where each of our tensors lies. */
import type { Device, DType } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { CommConfig } from '../config/model.js';
import type { Comm } from '../models/comm.js';
import type { WantedFormat } from './formats.js';
import { type KeyRule, type TensorSource, within } from './key-rules.js';
import type { TiedHead } from './layouts/tied-head.js';
import type { Leftovers } from './leftover.js';
import { buildComm, fillModel } from './quantise.js';

/** How the weights of a model are read. */
export interface ReadOptions {
  /** By default the dtype that the weights are stored in. */
  readonly dtype?: WantedFormat | undefined;
  readonly device?: Device | undefined;
  /**
   * Reads every weight once to refuse NaN and infinity. By default up to 2 GiB: beyond that the pass over the disk would
   * cost more than the start of the model, whose weights are mapped and read when they are first used.
   */
  readonly checkFinite?: boolean | undefined;
  /** Told after each weight. */
  readonly onWeight?: ((done: number, total: number) => void) | undefined;
}

/** How a model is opened. */
export interface OpenModelOptions extends ReadOptions {
  /** Folders of the picture encoders where the model's own files lack them, in the order of its encoders. */
  readonly visionTowers?: readonly string[] | undefined;
  /** Folder of the language model that a model's files are a change of, or whose tokenizer they lack. */
  readonly base?: string | undefined;
  /** Folder of a LoRA adapter that is merged into the weights. */
  readonly lora?: string | undefined;
  /** Finds the folder of a hub id that a config.json names; undefined for what is not there. */
  readonly resolve?: ((name: string) => string | undefined) | undefined;
}

/** Open weights under the names that an adapter's rules use. */
export interface WeightSource extends TensorSource {
  readonly numBytes: number;
  close(): void;
}

/** A whole model of any layout before its weights are read. */
export interface WholeModel {
  readonly modelType: string;
  readonly config: CommConfig;
  /** Folder with the tokenizer's files. */
  readonly tokenizer: string;
  readonly openWeights: () => WeightSource;
  readonly rules: readonly KeyRule[];
  /** Tensors, by the source's names, that no rule reads and that may be there. */
  readonly leftovers: Leftovers;
  /** Where the head would be that the config ties to the embedding; undefined where it does not. */
  readonly tiedHead: TiedHead | undefined;
}

/** A model read from a folder. */
export interface LoadedComm {
  readonly model: Comm;
  readonly config: CommConfig;
  /** Dtype of the files, which `dtype` of the options may have changed. */
  readonly storedDtype: DType;
}

const CHECKED_BYTES = 2 * 1024 ** 3;

/** Builds the model without memory and maps its weights; missing, unexpected, misshaped or NaN tensors stop it. Gradients are off. */
export function readWhole({ config, rules, leftovers, openWeights }: WholeModel, options: ReadOptions): LoadedComm {
  const { dtype: format, device, onWeight } = options;
  const source = openWeights();
  try {
    const model = buildComm(config);
    const checkFinite = options.checkFinite ?? source.numBytes <= CHECKED_BYTES;
    fillModel(model, { source, rules, leftovers }, { format, device, onWeight, checkFinite });
    // The projector is always there, and never an integer as BatchNorm's counters are.
    const [first] = rules.find(({ ours }) => ours.startsWith('projector.'))!.theirs;
    return { model, config, storedDtype: source.info(first!).dtype };
  } finally {
    source.close();
  }
}

/** Most blocks of one tower: far above any published model, far below what would hang on a damaged config. */
const MAX_BLOCKS = 1000;
const MAX_WIDTH = 1 << 17;

/** Throws a CommError for sizes that only a damaged config.json has, before anything is built from them. */
export function checkSizes(config: CommConfig, source: string): void {
  const { textConfig, vision } = config;
  const towers = [textConfig, ...vision.encoders.map(({ vit }) => vit)];
  for (const { numLayers, hiddenSize, intermediateSize } of towers) {
    if (numLayers <= MAX_BLOCKS && hiddenSize <= MAX_WIDTH && intermediateSize <= 8 * MAX_WIDTH) continue;
    throw new CommError(`${source} describes ${numLayers} blocks of width ${hiddenSize}, which no model has.`, {
      code: 'weights/unsupported',
      fix: 'Get config.json again.',
    });
  }
}

/** Several sources as one; throws a CommError for a key that is in two of them. */
export function joinedSources(sources: readonly WeightSource[]): WeightSource {
  const owner = new Map<string, WeightSource>();
  for (const source of sources) {
    for (const key of source.keys) {
      if (owner.has(key)) {
        throw new CommError(`The tensor '${key}' is in ${owner.get(key)!.name} and again in ${source.name}.`, {
          code: 'weights/duplicate',
          fix: 'Name a folder for the picture encoder only where the model lacks one.',
        });
      }
      owner.set(key, source);
    }
  }
  return {
    name: sources[0]!.name,
    keys: [...owner.keys()],
    info: (key) => owner.get(key)!.info(key),
    tensor: (key) => owner.get(key)!.tensor(key),
    numBytes: sources.reduce((sum, { numBytes }) => sum + numBytes, 0),
    close: () => {
      for (const source of sources) source.close();
    },
  };
}

/** A source with the same bytes behind other names. */
export const sourceAs = (source: WeightSource, named: TensorSource): WeightSource => ({
  name: named.name,
  keys: named.keys,
  info: named.info,
  tensor: named.tensor,
  numBytes: source.numBytes,
  close: () => source.close(),
});

/** A checkpoint with the tensors below `place` under the names that `named` gives them there; the rest as it is. */
export function withTower(
  source: TensorSource,
  place: string,
  named: (inside: TensorSource) => TensorSource,
): TensorSource {
  const tower = named(within(source, place));
  const isInside = (key: string): boolean => key.startsWith(place);
  return {
    name: source.name,
    keys: [...source.keys.filter((key) => !isInside(key)), ...tower.keys.map((key) => place + key)],
    info: (key) => (isInside(key) ? tower.info(key.slice(place.length)) : source.info(key)),
    tensor: (key) => (isInside(key) ? tower.tensor(key.slice(place.length)) : source.tensor(key)),
  };
}
