/** Writes a model of another layout as a folder of ours, one file of weights at a time. */
import { existsSync, readdirSync } from 'node:fs';
import { type DType, nn } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import { Comm } from '../models/comm.js';
import { checkFinite, type StoredWeight, writeCommFolder } from './comm-folder.js';
import { checkKeys, ruleTensor, theirShapes } from './key-rules.js';
import { describeModel } from './open-model.js';
import type { OpenModelOptions } from './whole-model.js';

/** How a model is converted. */
export interface ConvertOptions extends Omit<OpenModelOptions, 'device' | 'checkFinite'> {
  /** Dtype of the stored weights; by default the one they have. */
  readonly dtype?: DType;
  /** Largest file of weights, and about the most memory that is taken; 1 GB by default. */
  readonly maxShardBytes?: number;
  /** Told after each weight. */
  readonly onWeight?: (done: number, total: number) => void;
}

/** What was written. */
export interface Converted {
  readonly modelType: string;
  readonly numTensors: number;
  readonly numParameters: number;
}

/** Throws a CommError when a folder to write holds something already. */
export function refuseFilled(out: string): void {
  if (!existsSync(out) || readdirSync(out).length === 0) return;
  throw new CommError(`${out} is not empty.`, {
    code: 'weights/exists',
    fix: 'Name a new folder, or remove that one first.',
    exitCode: 2,
  });
}

/** Converts a model folder; throws a CommError for what is no known model, or an `out` that holds files already. */
export function convertFolder(folder: string, out: string, options: ConvertOptions = {}): Converted {
  refuseFilled(out);
  const { dtype, maxShardBytes = 1e9, onWeight, ...opening } = options;
  const whole = describeModel(folder, opening);
  const source = whole.openWeights();
  const model = nn.onMeta(() => new Comm(whole.config));
  try {
    const state = model.stateDict();
    checkKeys(source, theirShapes(whole.rules, state), whole.ignorable);
    let done = 0;
    const weights = whole.rules.map((rule): StoredWeight => {
      const { shape } = state.get(rule.ours)!;
      const load = (): ReturnType<StoredWeight['load']> => {
        const tensor = ruleTensor(source, rule, shape);
        checkFinite(source, new Map([[rule.theirs[0]!, tensor]]));
        onWeight?.(++done, whole.rules.length);
        return tensor;
      };
      return { key: rule.ours, shape, dtype: source.info(rule.theirs[0]!).dtype, load };
    });
    writeCommFolder(out, whole.config, weights, {
      tokenizer: whole.tokenizer,
      maxShardBytes,
      ...(dtype === undefined ? {} : { dtype }),
    });
    const numParameters = weights.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    return { modelType: whole.modelType, numTensors: weights.length, numParameters };
  } finally {
    model.dispose();
    source.close();
  }
}
