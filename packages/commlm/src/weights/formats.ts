/**
 * Number formats of a running or stored model, one row each. A format of floats is a dtype for every weight; one of few bits
 * has a layer and an encoding for the large matrices, and a float dtype for the rest. A new format is a new row, and a name
 * in config/formats.ts.
 */
import { type DType, nn, type Tensor, TorchError } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { WeightFormat } from '../config/formats.js';
import type { CommConfig } from '../config/model.js';
import type { TensorSource } from './key-rules.js';

/** How the large matrices are kept in few bits. */
export interface Encoding {
  /** The empty layer of that encoding in the place of a linear one. */
  readonly layer: (linear: nn.Linear) => nn.Module;
  /** Parts of an encoded matrix `float[out, in]`; the first is the weight itself and has its key. */
  readonly parts: readonly EncodedPart[];
  /** A matrix in these parts. @throws TorchError where it holds NaN or infinity */
  readonly quantise: (weight: Tensor) => Tensor[];
  /** Whether a matrix of that key is encoded. */
  readonly matches: (key: string) => boolean;
}

/** One stored tensor of an encoded matrix. */
export interface EncodedPart {
  /** Last part of its key: `weight`, `scale`. */
  readonly name: string;
  readonly dtype: DType;
  readonly shape: (weight: readonly number[]) => readonly number[];
}

/** A number format. */
export interface Format {
  /** Of every floating-point weight that is not encoded. */
  readonly floats: DType;
  /** Null: all weights are floats. */
  readonly encoding: Encoding | null;
}

/** Large matrices: the blocks of the vision towers, and the language model with its head. */
const isLargeMatrix = (key: string): boolean => /^language_model\.|\.vit\.blocks\./.test(key);

/** All formats by name. */
export const FORMATS = {
  f32: { floats: 'f32', encoding: null },
  bf16: { floats: 'bf16', encoding: null },
  f16: { floats: 'f16', encoding: null },
  int8: {
    floats: 'bf16',
    encoding: {
      layer: (linear) => nn.Int8Linear.like(linear),
      parts: [
        { name: 'weight', dtype: 'i8', shape: (shape) => shape },
        { name: 'scale', dtype: 'bf16', shape: ([rows]) => [rows!] },
      ],
      quantise: (weight) => {
        const { weight: quantised, scale } = nn.quantizeRows(weight);
        return [quantised, scale];
      },
      matches: isLargeMatrix,
    },
  },
} as const satisfies Readonly<Record<WeightFormat, Format>>;

/** A format as it is asked for; `auto` is f32 on a CPU up to `F32_PARAMETERS`, else what is stored. */
export type WantedFormat = WeightFormat | 'auto';

/** The format that the config says the weights are stored in; undefined for floats. */
export const storedFormat = ({ quantization }: CommConfig): WeightFormat | undefined => quantization?.kind;

/** Encoding of a format; null for floats, and where none is named. */
export const encodingOf = (format: WeightFormat | undefined): Encoding | null =>
  format === undefined ? null : FORMATS[format].encoding;

/** Key of a part that belongs to an encoded matrix. */
export const partKey = (weightKey: string, { name }: EncodedPart): string => weightKey.replace(/weight$/, name);

/** The parts of a matrix; throws a CommError that names it where it is not finite. */
export function quantiseWeight(
  { quantise }: Encoding,
  source: Pick<TensorSource, 'name'>,
  key: string,
  weight: Tensor,
): Tensor[] {
  try {
    return quantise(weight);
  } catch (error) {
    if (!(error instanceof TorchError) || !error.message.includes('infinite')) throw error;
    throw new CommError(`The tensor '${key}' in ${source.name} holds NaN or infinite values.`, {
      code: 'weights/not-finite',
      fix: 'The file is damaged or the training diverged: use another checkpoint.',
      cause: error,
    });
  }
}

/** Throws a CommError for a format that weights stored in few bits cannot become. */
export function refuseFormat(config: CommConfig, format: WantedFormat): void {
  const stored = storedFormat(config);
  if (stored === undefined || format === 'auto' || format === stored) return;
  throw new CommError(`The weights of this model are stored in ${stored}, which ${format} would not make more exact.`, {
    code: 'weights/format',
    fix: 'Leave --dtype out, or use the model that it was made from.',
    exitCode: 2,
  });
}
