/** Reference numbers for the unit tests, written by tools/golden/torch_reference.py from PyTorch. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { DType, Shape } from './dtype.js';
import { type Tensor, tensor } from './tensor.js';

/** A tensor as the generator stores it. */
export interface GoldenTensor {
  shape: number[];
  values: number[];
}

/** The reference file. */
export interface Golden {
  torch: string;
  init: Record<string, GoldenTensor>;
  functional: Record<string, GoldenTensor>;
  adamw: { steps: GoldenTensor[][]; state: Record<'step' | 'exp_avg' | 'exp_avg_sq', GoldenTensor>[] };
  adamwMaster: { master: GoldenTensor; weight: GoldenTensor };
  clipping: { norm: number; grads: GoldenTensor[] };
  schedules: { cosine: number[]; linear: number[] };
  random: { rand: GoldenTensor; randint: number[] };
}

/** Path of a file in the package's test data. */
export function testdataPath(name: string): string {
  return fileURLToPath(new URL(`../testdata/${name}`, import.meta.url));
}

/** Reads the reference numbers. */
export function readGolden(): Golden {
  return JSON.parse(readFileSync(testdataPath('torch-reference.json'), 'utf8')) as Golden;
}

/** A stored tensor, f32 unless said otherwise. */
export function golden({ shape, values }: GoldenTensor, dtype: DType = 'f32'): Tensor {
  return tensor(Float64Array.from(values), { shape, dtype });
}

/** `sin(0.37 i + phase)` in row-major order: the inputs of all references. */
export function wave(shape: Shape, phase = 0, dtype: DType = 'f32'): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return tensor(
    Float64Array.from({ length: count }, (_, i) => Math.sin(0.37 * i + phase)),
    { shape, dtype },
  );
}
