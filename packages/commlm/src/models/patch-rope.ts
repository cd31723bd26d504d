/** Rotary positions on a grid of patches: the axial kind of EVA-02 (2303.11331) and DINOv3 (2508.10104). */
import { cat, stack, type Tensor, tensor } from '@commlm/torch';
import type { PatchRopeConfig } from '../config/model.js';

// Shapes: B images, H heads, S tokens (special ones, then patches), K width of a head.

/** The rotation of queries and keys for one grid; made once a forward pass, in the scope of its caller. */
export class PatchRope {
  readonly #cos_SK: Tensor;
  readonly #sin_SK: Tensor;
  readonly #pairs: PatchRopeConfig['pairs'];

  /**
   * @param headWidth a multiple of 4: a quarter of it turns with the row, a quarter with the column, twice.
   * @param numSpecial tokens in front of the patches, which do not turn.
   * @param like dtype and device of what will be rotated.
   */
  constructor(
    rope: PatchRopeConfig,
    headWidth: number,
    grid: readonly [rows: number, columns: number],
    numSpecial: number,
    like: Pick<Tensor, 'dtype' | 'device'>,
  ) {
    this.#pairs = rope.pairs;
    const { cos, sin } = turns(rope, headWidth, grid, numSpecial);
    const shape = [numSpecial + grid[0] * grid[1], headWidth];
    const { dtype, device } = like;
    this.#cos_SK = tensor(cos, { shape }).to({ dtype, device });
    this.#sin_SK = tensor(sin, { shape }).to({ dtype, device });
  }

  /** float[B, H, S, K] -> float[B, H, S, K]. */
  rotate(x_BHSK: Tensor): Tensor {
    return x_BHSK.mul(this.#cos_SK).add_(this.#quarterTurn(x_BHSK).mul(this.#sin_SK));
  }

  /** Each pair (a, b) as (-b, a). */
  #quarterTurn(x_BHSK: Tensor): Tensor {
    if (this.#pairs === 'halves') {
      const [a, b] = x_BHSK.chunk(2, -1) as [Tensor, Tensor];
      return cat([b.neg(), a], -1);
    }
    const [a, b] = x_BHSK.unflatten(-1, [x_BHSK.shape[3]! / 2, 2]).unbind(-1) as [Tensor, Tensor];
    return stack([b.neg(), a], -1).flatten(3);
  }
}

/** Cosine and sine of every token and channel, row-major [S, K]; special tokens stand still. */
function turns(
  { theta, coordinates, pairs }: PatchRopeConfig,
  headWidth: number,
  [rows, columns]: readonly [rows: number, columns: number],
  numSpecial: number,
): { cos: Float32Array; sin: Float32Array } {
  const quarter = headWidth / 4;
  const frequencies = Array.from({ length: quarter }, (_, i) => theta ** (-i / quarter));
  const placeOf = (axis: 0 | 1, index: number): number => {
    const count = axis === 0 ? rows : columns;
    if (coordinates.kind === 'index') return (index * coordinates.grid[axis]) / count;
    return 2 * Math.PI * ((2 * (index + 0.5)) / count - 1);
  };
  const cos = new Float32Array((numSpecial + rows * columns) * headWidth);
  const sin = new Float32Array(cos.length);
  cos.fill(1, 0, numSpecial * headWidth);
  for (let patch = 0; patch < rows * columns; patch++) {
    const [y, x] = [placeOf(0, Math.floor(patch / columns)), placeOf(1, patch % columns)];
    const start = (numSpecial + patch) * headWidth;
    for (let i = 0; i < headWidth / 2; i++) {
      const angle = (i < quarter ? y : x) * frequencies[i % quarter]!;
      const [first, second] = pairs === 'halves' ? [i, i + headWidth / 2] : [2 * i, 2 * i + 1];
      cos[start + first] = cos[start + second] = Math.cos(angle);
      sin[start + first] = sin[start + second] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
