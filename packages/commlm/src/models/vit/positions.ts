/** The learned table of positions: its first rows belong to tokens in front of the patches, the others to a grid of them. */
import { F, Tensor } from '@commlm/torch';
import { numSpecialPositions, type PositionConfig, type ViTConfig } from '../../config/model.js';
import type { Grid } from './grid.js';

// Shapes: B images, N patches of the table, M patches of the picture, D width.

/** What a config says about places. */
type Places = Pick<ViTConfig, 'posEmbed' | 'clsToken'>;

/**
 * Patches on their places: float[B, M, D] -> float[B, M, D]; as they are without a table. The places are a grid that the table is
 * resized to, or the rows of the table that are named, i64[B, M].
 */
export function placePatches(patches_BMD: Tensor, table: Tensor | null, vit: Places, places: Grid | Tensor): Tensor {
  const { posEmbed } = vit;
  if (table === null || posEmbed.kind === 'none') return patches_BMD;
  const numSpecial = numSpecialPositions(vit);
  const table_1ND = table.narrow(1, numSpecial, table.shape[1]! - numSpecial);
  const positions =
    places instanceof Tensor
      ? table_1ND.squeeze(0).indexSelect(0, places.flatten()).unflatten(0, places.shape)
      : resizePositions(table_1ND, posEmbed, places);
  return patches_BMD.add(positions);
}

/**
 * The tokens in front of the patches, in their order, on their places: float[1, count, D] each. CLS has one mostly;
 * registers stand between it and the patches and mostly carry none (Darcet et al., 2309.16588), DeiT's distillation token does.
 */
export function placeSpecial(tokens: readonly (Tensor | null)[], table: Tensor | null, vit: Places): Tensor[] {
  const numPlaced = numSpecialPositions(vit);
  let first = 0;
  return tokens.flatMap((token) => {
    if (token === null) return [];
    const [start, count] = [first, token.shape[1]!];
    first += count;
    return table !== null && first <= numPlaced ? token.add(table.narrow(1, start, count)) : token;
  });
}

/** Resizes a table of patch positions by bicubic interpolation, in f32 and by size (as transformers does): float[1, N, D] -> float[1, M, D]. */
export function resizePositions(
  table_1ND: Tensor,
  { grid: from, antialias }: Extract<PositionConfig, { kind: 'learned' }>,
  to: Grid,
): Tensor {
  if (from[0] === to[0] && from[1] === to[1]) return table_1ND;
  const width = table_1ND.shape[2]!;
  const map_1DHW = table_1ND.reshape(1, from[0], from[1], width).permute(0, 3, 1, 2).to('f32');
  return F.interpolate(map_1DHW, { size: to, mode: 'bicubic', antialias })
    .permute(0, 2, 3, 1)
    .reshape(1, to[0] * to[1], width)
    .to(table_1ND.dtype);
}
