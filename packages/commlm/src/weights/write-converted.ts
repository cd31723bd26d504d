/** Writes a model of another layout as a folder of ours, one file of weights at a time. */
import { type DType, isFloating, keep, type Tensor } from '@commlm/torch';
import type { WeightFormat } from '../config/formats.js';
import type { CommConfig } from '../config/model.js';
import { refuseFilled, writeFolder } from '../files/whole-folder.js';
import { type StoredWeight, writeCommFolder } from './comm-folder.js';
import { checkFinite } from './files/finite.js';
import { type Encoding, encodingOf, FORMATS, partKey, quantiseWeight, refuseFormat, storedFormat } from './formats.js';
import { checkKeys, type KeyRule, ruleTensor, type TensorSource, theirShapes } from './key-rules.js';
import { describeModel } from './open-model.js';
import { buildComm, encodedKeys, forgetRule } from './quantise.js';
import type { OpenModelOptions } from './whole-model.js';

/** How a model is converted. */
export interface ConvertOptions extends Omit<OpenModelOptions, 'dtype' | 'device' | 'checkFinite' | 'onWeight'> {
  /** Format of the stored weights; by default the one they have. */
  readonly dtype?: WeightFormat | undefined;
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
    // What is stored in few bits is copied as it is.
    const encoding = storedFormat(whole.config) === undefined ? encodingOf(dtype) : null;
    const encoded = encoding === null ? new Set<string>() : encodedKeys(model, encoding);
    const floats = dtype === undefined ? undefined : FORMATS[dtype].floats;
    let done = 0;
    const told = (): void => onWeight?.(++done, whole.rules.length);
    const weights = whole.rules.flatMap((rule): StoredWeight[] => {
      const { shape } = state.get(rule.ours)!;
      if (encoding !== null && encoded.has(rule.ours)) return encodedWeights(encoding, source, rule, shape, told);
      return [floatWeight(source, rule, shape, encoding === null ? undefined : floats, told)];
    });
    const config = encoding === null ? whole.config : { ...whole.config, quantization: { kind: dtype } };
    const write = (part: string): void =>
      writeCommFolder(part, config as CommConfig, weights, {
        tokenizer: whole.tokenizer,
        maxShardBytes,
        dtype: floats === undefined || encodingOf(dtype) !== null ? undefined : floats,
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

/** The parts of an encoded matrix, which one pass over it gives and which are written one after the other. */
function encodedWeights(
  encoding: Encoding,
  source: TensorSource,
  rule: KeyRule,
  shape: readonly number[],
  told: () => void,
): StoredWeight[] {
  const quantise = (): Tensor[] => quantiseWeight(encoding, source, rule.ours, ruleTensor(source, rule, shape));
  const kept = new Map<number, Tensor>();
  const loadFirst = (): Tensor => {
    const [weight, ...others] = quantise();
    for (const [i, part] of others.entries()) kept.set(i + 1, keep(part));
    forgetRule(source, rule);
    told();
    return weight!;
  };
  const loadOther = (i: number): Tensor => {
    const part = kept.get(i) ?? quantise()[i]!;
    kept.delete(i);
    return part;
  };
  return encoding.parts.map((part, i) => ({
    key: i === 0 ? rule.ours : partKey(rule.ours, part),
    shape: part.shape(shape),
    dtype: part.dtype,
    load: () => (i === 0 ? loadFirst() : loadOther(i)),
  }));
}
