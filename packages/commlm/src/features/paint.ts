/**
 * Features as a picture: the first three principal components of each level's patches as red, green and blue.
 * Shapes: N patches, D encoder width.
 */
import { noGrad, op, scope, type Tensor } from '@commlm/torch';
import { drawLabels } from '../images/draw.js';

const svd = op('aten::linalg_svd');

/** Pixels as rows of RGB bytes. */
export interface Painting {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Side of a tile in pixels, at least; whole multiples of the grid, so patches stay square. */
const TILE_SIZE = 160;
const GAP = 8;
/** Room for a line of text above a tile. */
const LABEL_HEIGHT = 18;
const BACKGROUND = 255;

/**
 * Principal components of patches float[N, D] as values in 0..1, float[N, 3]: centred, projected on the three directions
 * of largest variance, each stretched over its own range. The sign of a direction is set by its largest entry, so the
 * same features give the same colours everywhere.
 */
export function principalColors(patches_ND: Tensor): Float32Array {
  return scope(() =>
    noGrad(() => {
      const centred_ND = patches_ND.to({ dtype: 'f32', device: 'cpu' });
      const x_ND = centred_ND.sub(centred_ND.mean(0, true));
      const numComponents = Math.min(3, x_ND.shape[0]!, x_ND.shape[1]!);
      const [, , vh_KD] = svd(x_ND, false) as [Tensor, Tensor, Tensor];
      const directions = vh_KD.narrow(0, 0, numComponents);
      const largest = directions.gather(1, directions.abs().argmax(1, true)).sign();
      const scores = x_ND.matmul(directions.mul(largest).t());
      const low = scores.amin(0, true);
      const range = scores.amax(0, true).sub(low).clamp(1e-12);
      const colors = scores.sub(low).div(range).contiguous().toArray() as Float32Array;
      return numComponents === 3 ? colors : spread(colors, numComponents);
    }),
  );
}

/** Fewer than three components: the missing channels stay at zero. */
function spread(colors: Float32Array, numComponents: number): Float32Array {
  const numPatches = colors.length / numComponents;
  const full = new Float32Array(numPatches * 3);
  for (let patch = 0; patch < numPatches; patch++) {
    for (let c = 0; c < numComponents; c++) full[patch * 3 + c] = colors[patch * numComponents + c]!;
  }
  return full;
}

/** Number of tiles in a row for so many levels: as square as it gets, wider than high. */
export function tilesPerRow(numTiles: number): number {
  return Math.ceil(Math.sqrt(numTiles));
}

/**
 * One tile a level, row by row in the order given: float[1, N, D] each, patches in rows of `grid[1]`; `labels` stand above
 * the tiles where they are given, one a level.
 */
export async function paintLevels(
  levels_1ND: readonly Tensor[],
  grid: readonly [rows: number, columns: number],
  labels?: readonly string[],
): Promise<Painting> {
  const { painting, tiles } = paintTiles(levels_1ND, grid, labels === undefined ? 0 : LABEL_HEIGHT);
  if (labels === undefined) return painting;
  const placed = tiles.map(({ left, top, width }, i) => ({
    text: labels[i] ?? '',
    x: left,
    y: top - LABEL_HEIGHT,
    width,
    height: LABEL_HEIGHT,
  }));
  return { ...painting, data: await drawLabels(painting, placed) };
}

interface Tile {
  readonly left: number;
  readonly top: number;
  readonly width: number;
}

function paintTiles(
  levels_1ND: readonly Tensor[],
  grid: readonly [rows: number, columns: number],
  labelHeight: number,
): { readonly painting: Painting; readonly tiles: readonly Tile[] } {
  const [rows, columns] = grid;
  const scale = Math.max(1, Math.round(TILE_SIZE / Math.max(rows, columns)));
  const [tileHeight, tileWidth] = [rows * scale, columns * scale];
  const perRow = tilesPerRow(levels_1ND.length);
  const numRows = Math.ceil(levels_1ND.length / perRow);
  const width = perRow * tileWidth + (perRow + 1) * GAP;
  const height = numRows * (tileHeight + labelHeight) + (numRows + 1) * GAP;
  const data = new Uint8Array(width * height * 3).fill(BACKGROUND);
  const tiles: Tile[] = [];
  for (const [i, level] of levels_1ND.entries()) {
    const colors = scope(() => principalColors(level.select(0, 0)));
    const left = GAP + (i % perRow) * (tileWidth + GAP);
    const top = GAP + labelHeight + Math.floor(i / perRow) * (tileHeight + labelHeight + GAP);
    tiles.push({ left, top, width: tileWidth });
    for (let y = 0; y < tileHeight; y++) {
      for (let x = 0; x < tileWidth; x++) {
        const patch = Math.floor(y / scale) * columns + Math.floor(x / scale);
        const at = ((top + y) * width + left + x) * 3;
        for (let c = 0; c < 3; c++) data[at + c] = Math.round(colors[patch * 3 + c]! * 255);
      }
    }
  }
  return { painting: { width, height, data }, tiles };
}
