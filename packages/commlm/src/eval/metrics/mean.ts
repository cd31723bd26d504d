/** The arithmetic mean with the summation order of NumPy, so that figures agree to the last digit. */

const BLOCK = 128;

function pairwiseSum(values: ArrayLike<number>, start: number, count: number): number {
  if (count < 8) {
    let sum = -0;
    for (let i = start; i < start + count; i++) sum += values[i]!;
    return sum;
  }
  if (count <= BLOCK) {
    const lanes = Array.from({ length: 8 }, (_, lane) => values[start + lane]!);
    const whole = count - (count % 8);
    for (let i = 8; i < whole; i += 8) {
      for (let lane = 0; lane < 8; lane++) lanes[lane] = lanes[lane]! + values[start + i + lane]!;
    }
    const [a, b, c, d, e, f, g, h] = lanes as [number, number, number, number, number, number, number, number];
    let sum = a + b + (c + d) + (e + f + (g + h));
    for (let i = whole; i < count; i++) sum += values[start + i]!;
    return sum;
  }
  const half = Math.floor(count / 2);
  const left = half - (half % 8);
  return pairwiseSum(values, start, left) + pairwiseSum(values, start + left, count - left);
}

/** Mean of `values` as `numpy.mean` of float64 gives it; 0 for none. */
export function mean(values: ArrayLike<number>): number {
  return values.length === 0 ? 0 : pairwiseSum(values, 0, values.length) / values.length;
}
