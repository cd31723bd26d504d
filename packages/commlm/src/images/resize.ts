/**
 * Resizing with the very bytes that Pillow gives. Encoders were trained on Pillow's antialiased filters; a resize that is
 * only similar shifts every feature. Pillow works in integers: weights with 22 fractional bits, across and down in two passes,
 * rounded to bytes in between. Two loops over typed arrays do the same here.
 */
import type { RgbImage } from './pixels.js';

/** Filters of `resize`, by Pillow's names. */
export type Resample = 'nearest' | 'bilinear' | 'bicubic' | 'lanczos';

/** Pillow's PRECISION_BITS for 8-bit channels: 32 - 8 - 2. */
const PRECISION_BITS = 22;
const HALF = 1 << (PRECISION_BITS - 1);

interface Filter {
  readonly support: number;
  readonly weight: (x: number) => number;
}

function sinc(x: number): number {
  if (x === 0) return 1;
  const angle = x * Math.PI;
  return Math.sin(angle) / angle;
}

const FILTERS: Readonly<Record<Exclude<Resample, 'nearest'>, Filter>> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    // Keys' cubic with a = -0.5, in the order of operations that Pillow uses.
    weight: (signed) => {
      const x = Math.abs(signed);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** For each output position the first input position, how many there are, and their integer weights. */
interface Weights {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  readonly values: Int32Array;
  readonly stride: number;
}

function computeWeights(inputSize: number, outputSize: number, filter: Filter): Weights {
  const scale = inputSize / outputSize;
  const filterScale = Math.max(scale, 1);
  const support = filter.support * filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(outputSize);
  const counts = new Int32Array(outputSize);
  const values = new Int32Array(outputSize * stride);
  const row = new Float64Array(stride);
  const inverse = 1 / filterScale;
  for (let out = 0; out < outputSize; out++) {
    const center = (out + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(inputSize, Math.trunc(center + support + 0.5)) - start;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const weight = filter.weight((i + start - center + 0.5) * inverse);
      row[i] = weight;
      sum += weight;
    }
    for (let i = 0; i < count; i++) {
      const weight = (sum === 0 ? row[i]! : row[i]! / sum) * (1 << PRECISION_BITS);
      values[out * stride + i] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    starts[out] = start;
    counts[out] = count;
  }
  return { starts, counts, values, stride };
}

/** Resizes to `width` x `height`, byte for byte as `Image.resize((width, height), resample)` of Pillow 13. */
export function resize(image: RgbImage, width: number, height: number, resample: Resample = 'bicubic'): RgbImage {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new RangeError(`resize: the size must be whole and positive, not ${width} x ${height}`);
  }
  if (resample === 'nearest') return resizeNearest(image, width, height);
  const filter = FILTERS[resample];
  if (isDownFirst(image, width, height)) return resizeAcross(resizeDown(image, height, filter), width, filter);
  return resizeDown(resizeAcross(image, width, filter), height, filter);
}

/**
 * The order of the two passes shows in the rounding. Up to version 12 Pillow goes across first; version 13 goes down first
 * where the height loses more than twice the pixels that the width loses (found by trying sizes on the library).
 */
function isDownFirst(image: RgbImage, width: number, height: number): boolean {
  return height < image.height && image.height - height > 2 * (image.width - width);
}

/** Bicubic `resize`, the filter of CLIP, DINOv2 and SigLIP. */
export function resizeBicubic(image: RgbImage, width: number, height: number): RgbImage {
  return resize(image, width, height, 'bicubic');
}

function resizeAcross(image: RgbImage, width: number, filter: Filter): RgbImage {
  if (width === image.width) return image;
  const { width: inputWidth, height, data } = image;
  const { starts, counts, values, stride } = computeWeights(inputWidth, width, filter);
  const output = new Uint8ClampedArray(width * height * 3);
  let target = 0;
  for (let y = 0; y < height; y++) {
    const rowStart = y * inputWidth * 3;
    for (let x = 0; x < width; x++) {
      let source = rowStart + starts[x]! * 3;
      let k = x * stride;
      const end = k + counts[x]!;
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      for (; k < end; k++) {
        const weight = values[k]!;
        red = (red + Math.imul(data[source]!, weight)) | 0;
        green = (green + Math.imul(data[source + 1]!, weight)) | 0;
        blue = (blue + Math.imul(data[source + 2]!, weight)) | 0;
        source += 3;
      }
      output[target] = red >> PRECISION_BITS;
      output[target + 1] = green >> PRECISION_BITS;
      output[target + 2] = blue >> PRECISION_BITS;
      target += 3;
    }
  }
  return { width, height, data: new Uint8Array(output.buffer) };
}

function resizeDown(image: RgbImage, height: number, filter: Filter): RgbImage {
  if (height === image.height) return image;
  const { width, height: inputHeight, data } = image;
  const { starts, counts, values, stride } = computeWeights(inputHeight, height, filter);
  const rowBytes = width * 3;
  const output = new Uint8ClampedArray(rowBytes * height);
  const sums = new Int32Array(rowBytes);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    // Row by row, so that memory is read in order.
    for (let i = 0; i < counts[y]!; i++) {
      const weight = values[y * stride + i]!;
      const source = (starts[y]! + i) * rowBytes;
      for (let x = 0; x < rowBytes; x++) {
        sums[x] = (sums[x]! + Math.imul(data[source + x]!, weight)) | 0;
      }
    }
    const target = y * rowBytes;
    for (let x = 0; x < rowBytes; x++) output[target + x] = sums[x]! >> PRECISION_BITS;
  }
  return { width, height, data: new Uint8Array(output.buffer) };
}

/** Input positions of nearest neighbour; Pillow adds the step up instead of multiplying, and so its rounding errors. */
function nearestPositions(inputSize: number, outputSize: number): Int32Array {
  const step = inputSize / outputSize;
  let position = step * 0.5;
  return Int32Array.from({ length: outputSize }, () => {
    const index = Math.min(Math.trunc(position), inputSize - 1);
    position += step;
    return index;
  });
}

function resizeNearest(
  { width: inputWidth, height: inputHeight, data }: RgbImage,
  width: number,
  height: number,
): RgbImage {
  const columns = nearestPositions(inputWidth, width);
  const rows = nearestPositions(inputHeight, height);
  const output = new Uint8Array(width * height * 3);
  let target = 0;
  for (const row of rows) {
    for (const column of columns) {
      const source = (row * inputWidth + column) * 3;
      output[target] = data[source]!;
      output[target + 1] = data[source + 1]!;
      output[target + 2] = data[source + 2]!;
      target += 3;
    }
  }
  return { width, height, data: output };
}

/**
 * Resizes without rounding, as tensor libraries do on floating-point pictures (across first, then down): row-major
 * [height, width, 3] in 0..255, within a hundred-thousandth of torch's antialiased filters.
 */
export function resizeUnrounded(
  { width: inputWidth, height: inputHeight, data }: RgbImage,
  width: number,
  height: number,
  resample: Exclude<Resample, 'nearest'>,
): Float32Array {
  const filter = FILTERS[resample];
  const across = computeWeights(inputWidth, width, filter);
  const down = computeWeights(inputHeight, height, filter);
  const rows = new Float64Array(inputHeight * width * 3);
  for (let y = 0; y < inputHeight; y++) {
    for (let x = 0; x < width; x++) {
      const source = (y * inputWidth + across.starts[x]!) * 3;
      addWeighted(rows, (y * width + x) * 3, data, source, 3, across, x);
    }
  }
  const output = new Float64Array(height * width * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const source = (down.starts[y]! * width + x) * 3;
      addWeighted(output, (y * width + x) * 3, rows, source, width * 3, down, y);
    }
  }
  return Float32Array.from(output);
}

/** One output pixel: the weighted mean of the input pixels that lie `step` apart. */
function addWeighted(
  output: Float64Array,
  target: number,
  input: ArrayLike<number>,
  source: number,
  step: number,
  { counts, values, stride }: Weights,
  index: number,
): void {
  for (let i = 0; i < counts[index]!; i++) {
    const weight = values[index * stride + i]! / (1 << PRECISION_BITS);
    for (let channel = 0; channel < 3; channel++) {
      output[target + channel]! += weight * input[source + i * step + channel]!;
    }
  }
}
