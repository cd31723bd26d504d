/**
 * Stored tensors that no rule reads. A name alone leaves out only what belongs to a part that is not run (the text half of
 * CLIP, a classifier); a table that is computed here has to hold the numbers that are computed.
 */
import { arange, op, type Tensor, tensor } from '@commlm/torch';
import type { LlamaConfig } from '../config/model.js';
import { ropeFrequencies } from '../models/rope.js';

const equal = op('aten::equal');

/** Finds out whether a stored table is the computed one; where it is not, says what it should hold. */
export type TableCheck = (stored: Tensor) => string | undefined;

/** Why a stored tensor may be left over; undefined where it may not. */
export type Leftover = 'not run' | TableCheck | undefined;

/** What a layout knows of the tensors that its rules do not name. */
export type Leftovers = (key: string) => Leftover;

/** Nothing may be left over. */
export const NO_LEFTOVERS: Leftovers = () => undefined;

/** The part is not run. */
export const notRun = (is: boolean): Leftover => (is ? 'not run' : undefined);

/** Positions 0, 1, 2, ... that old versions stored beside a table of positions, in whatever dtype the model was saved. */
export const positionIds: TableCheck = (stored) => {
  const counted = arange(stored.numel, { dtype: 'f32' }).to(stored.dtype);
  return equal(stored.flatten(), counted) ? undefined : 'are not 0, 1, 2, ...';
};

/** A tensor without elements. */
export const empty: TableCheck = (stored) =>
  stored.numel === 0 ? undefined : `are ${stored.shape.join(' x ')}, where config.json has none`;

/** Relative error of a value that was rounded to a dtype, with a bit to spare for another way of computing it. */
const ROUNDING: Readonly<Record<string, number>> = { f64: 2 ** -21, f32: 2 ** -21, f16: 2 ** -10, bf16: 2 ** -7 };
/** Distance of the smallest numbers of f16, which the slowest frequencies fall among. */
const F16_STEP = 2 ** -24;

/** Frequencies of the rotary positions that old versions stored; some did so before a scaling was applied. */
export const rotaryTable =
  (config: LlamaConfig): TableCheck =>
  (stored) => {
    const plain: LlamaConfig = { ...config, ropeScaling: { kind: 'none' } };
    return [config, plain].some((one) => isClose(stored, ropeFrequencies(one)))
      ? undefined
      : 'are not the frequencies that rope_theta and rope_scaling in config.json give';
  };

function isClose(stored: Tensor, computed: Float32Array): boolean {
  const relative = ROUNDING[stored.dtype];
  if (relative === undefined || stored.numel !== computed.length) return false;
  const step = stored.dtype === 'f16' ? F16_STEP : 0;
  const wanted = tensor(computed);
  const difference = stored.flatten().to('f32').sub(wanted).abs();
  return difference.sub(wanted.mul(relative)).max().item() <= step;
}
