/** Writes a model of another layout as a folder of ours, one file of weights at a time. */
import { type DType, isFloating, keep, type Tensor } from '@commlm/torch';
import type { CommConfig } from '../config/model.js';
import { refuseFilled, writeFolder } from '../files/whole-folder.js';
import { type StoredWeight, writeCommFolder } from './comm-folder.js';
import { checkFinite } from './files/finite.js';
import { checkKeys, type KeyRule, ruleTensor, type TensorSource, theirShapes } from './key-rules.js';
import { describeModel } from './open-model.js';
import {
  buildComm,
  forgetRule,
  quantisedKeys,
  quantiseWeight,
  refuseFormat,
  scaleKey,
  type WeightFormat,
} from './quantise.js';
import type { OpenModelOptions } from './whole-model.js';

/** How a model is converted. */
export interface ConvertOptions extends Omit<OpenModelOptions, 'dtype' | 'device' | 'checkFinite' | 'onWeight'> {
  /** Format of the stored weights; by default the one they have. */
  readonly dtype?: WeightFormat | 'int4' | undefined;
  /** Largest file of weights, and about the most memory that is taken; 1 GB by default. */
  readonly maxShardBytes?: number | undefined;
  /** Told after each weight. */
  readonly onWeight?: ((done: number, total: number) => void) | undefined;
}

/** What was written. */
export interface Converted {
  readonly modelType: string;
  readonly numTensors: number;
  readonly numParameters: number;
}

/** Converts a model folder; throws a CommError for what is no known model, or an `out` that holds files already. */
export function convertFolder(folder: string, out: string, options: ConvertOptions = {}): Converted {
  refuseFilled(out);
  const { dtype, maxShardBytes = 1e9, onWeight, ...opening } = options;
  const whole = describeModel(folder, opening);
  const source = whole.openWeights();
  const model = buildComm(whole.config);
  try {
    if (dtype !== undefined) refuseFormat(whole.config, dtype);
    const state = model.stateDict();
    checkKeys(source, theirShapes(whole.rules, state), whole.leftovers);
    const toInt8 = dtype === 'int8' && whole.config.quantization === undefined;
    const quantised = toInt8 ? quantisedKeys(model) : new Set<string>();
    let done = 0;
    const told = (): void => onWeight?.(++done, whole.rules.length);
    const weights = whole.rules.flatMap((rule): StoredWeight[] => {
      const { shape } = state.get(rule.ours)!;
      if (quantised.has(rule.ours)) return int8Weights(source, rule, shape, told);
      return [floatWeight(source, rule, shape, toInt8 ? 'bf16' : undefined, told)];
    });
    const config: CommConfig = toInt8 ? { ...whole.config, quantization: { kind: 'int8' } } : whole.config;
    const write = (part: string): void =>
      writeCommFolder(part, config, weights, {
        tokenizer: whole.tokenizer,
        maxShardBytes,
        dtype: dtype === 'int8' || dtype === 'int4' ? undefined : dtype,
      });
    writeFolder(out, write, { replace: false });
    const numParameters = [...state.values()].reduce((sum, { numel }) => sum + numel, 0);
    return { modelType: whole.modelType, numTensors: weights.length, numParameters };
  } finally {
    model.dispose();
    source.close();
  }
}

/** A weight as it is stored, or its floats in `dtype`. */
function floatWeight(
  source: TensorSource,
  rule: KeyRule,
  shape: readonly number[],
  dtype: DType | undefined,
  told: () => void,
): StoredWeight {
  const stored = source.info(rule.theirs[0]!).dtype;
  const target = dtype !== undefined && isFloating(stored) ? dtype : stored;
  const load = (): Tensor => {
    const tensor = ruleTensor(source, rule, shape);
    checkFinite(source, new Map([[rule.theirs[0]!, tensor]]));
    told();
    return tensor.to(target);
  };
  return { key: rule.ours, shape, dtype: target, load };
}

/** A matrix in 8 bits and its scales, which the one pass over it gives and which are written after it. */
function int8Weights(source: TensorSource, rule: KeyRule, shape: readonly number[], told: () => void): StoredWeight[] {
  let scale: Tensor | undefined;
  const quantise = (): [Tensor, Tensor] => quantiseWeight(source, rule.ours, ruleTensor(source, rule, shape));
  const load = (): Tensor => {
    const [weight, scales] = quantise();
    scale = keep(scales);
    forgetRule(source, rule);
    told();
    return weight;
  };
  const loadScale = (): Tensor => {
    const kept = scale ?? quantise()[1];
    scale = undefined;
    return kept;
  };
  return [
    { key: rule.ours, shape, dtype: 'i8', load },
    { key: scaleKey(rule.ours), shape: [shape[0]!], dtype: 'bf16', load: loadScale },
  ];
}
