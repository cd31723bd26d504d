/** Rotary positions: frequencies with their scalings, tables of cosines and sines, and the turn itself. */
import { cat, type Device, type DType, F, keep, noGrad, op, scope, type Tensor, tensor } from '@commlm/torch';
import type { LlamaConfig, RopeScaling } from '../config/model.js';

// Shapes: B rows, T tokens, H heads, K width of a head, R channels of it that turn (all, or fewer: `rotaryDim`).

const addcmul = op('aten::addcmul');

/** Inverse frequencies of the rotary embedding, one for each pair of channels, after the configured scaling; in f32 arithmetic as the references. */
export function ropeFrequencies({ headDim, rotaryDim = headDim, ropeTheta, ropeScaling }: LlamaConfig): Float32Array {
  const frequencies = Float32Array.from(
    { length: rotaryDim / 2 },
    (_, i) => 1 / Math.fround(ropeTheta ** Math.fround((2 * i) / rotaryDim)),
  );
  switch (ropeScaling.kind) {
    case 'none':
      return frequencies;
    case 'linear':
      return frequencies.map((f) => f / ropeScaling.factor);
    case 'llama3': {
      // Long waves are stretched, short ones kept, those between blended (Llama 3.1).
      const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions: old } = ropeScaling;
      return frequencies.map((f) => {
        const waves = old / ((2 * Math.PI) / f);
        const keepShare = Math.min(1, Math.max(0, (waves - lowFreqFactor) / (highFreqFactor - lowFreqFactor)));
        return ((1 - keepShare) * f) / factor + keepShare * f;
      });
    }
    case 'yarn':
      return yarnFrequencies(frequencies, ropeTheta, ropeScaling);
  }
}

/**
 * YaRN (2309.00071): channels that turn more than `betaFast` times within the trained length are kept, those that turn
 * less than `betaSlow` times are stretched, those between blended along a line over the channels.
 */
function yarnFrequencies(
  frequencies: Float32Array,
  theta: number,
  { factor, betaFast, betaSlow, truncate, originalMaxPositions }: Extract<RopeScaling, { kind: 'yarn' }>,
): Float32Array {
  const width = 2 * frequencies.length;
  const channelOf = (turns: number): number =>
    (width * Math.log(originalMaxPositions / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [channelOf(betaFast), channelOf(betaSlow)];
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  const high = Math.min(truncate ? Math.ceil(last) : last, width - 1);
  const span = high === low ? 0.001 : high - low;
  return frequencies.map((f, i) => {
    const stretched = Math.min(1, Math.max(0, Math.fround((i - low) / span)));
    return (f / factor) * stretched + f * (1 - stretched);
  });
}

/** Cosines and sines of some positions: float[(B), 1, T, R], the first half of the sines negated for the half-turned channels. */
export interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Rotary position embedding (2104.09864) in transformers' convention: channel i turns with channel i + K / 2. */
export class Rope {
  readonly #config: LlamaConfig;
  readonly #tables = new Map<string, Rotation>();
  #length = 0;

  constructor(config: LlamaConfig) {
    this.#config = config;
  }

  /** Rotation of positions `start` to `start + length`: float[T, R] each. */
  range(start: number, length: number, dtype: DType, device: Device): Rotation {
    const { cos, sin } = this.#table(start + length, dtype, device);
    return { cos: cos.narrow(0, start, length), sin: sin.narrow(0, start, length) };
  }

  /** Rotation of positions i64[B, T], all below `limit`: float[B, 1, T, R] each. */
  at(positions_BT: Tensor, limit: number, dtype: DType): Rotation {
    const { cos, sin } = this.#table(limit, dtype, positions_BT.device);
    const rows = (table: Tensor): Tensor => F.embedding(positions_BT, table).unsqueeze(1);
    return { cos: rows(cos), sin: rows(sin) };
  }

  /** Frees the tables; they come back at the next use. */
  dispose(): void {
    for (const { cos, sin } of this.#tables.values()) {
      cos.dispose();
      sin.dispose();
    }
    this.#tables.clear();
    this.#length = 0;
  }

  #table(length: number, dtype: DType, device: Device): Rotation {
    if (length > this.#length) {
      // Whole powers of two: a growing conversation rebuilds the table a few times only.
      const wanted = Math.max(256, 2 ** Math.ceil(Math.log2(length)));
      this.dispose();
      this.#length = wanted;
    }
    const key = `${dtype} ${device}`;
    let table = this.#tables.get(key);
    if (table === undefined) {
      table = noGrad(() => scope(() => this.#build(dtype, device)));
      keep(table.cos);
      keep(table.sin);
      this.#tables.set(key, table);
    }
    return table;
  }

  #build(dtype: DType, device: Device): Rotation {
    const { headDim, rotaryDim: width = headDim, ropeScaling } = this.#config;
    const [half, length] = [width / 2, this.#length];
    const scale = ropeScaling.kind === 'yarn' ? ropeScaling.attentionFactor : 1;
    const frequencies = ropeFrequencies(this.#config);
    const [cos, sin] = [new Float32Array(length * width), new Float32Array(length * width)];
    for (let position = 0; position < length; position++) {
      for (let i = 0; i < half; i++) {
        const angle = Math.fround(position * frequencies[i]!);
        const at = position * width + i;
        cos[at] = cos[at + half] = Math.cos(angle) * scale;
        sin[at + half] = Math.sin(angle) * scale;
        sin[at] = -sin[at + half]!;
      }
    }
    const placed = (data: Float32Array): Tensor => tensor(data, { shape: [length, width] }).to({ dtype, device });
    return { cos: placed(cos), sin: placed(sin) };
  }
}

/** x turned by its position: x cos + half-turned(x) sin, float[B, H, T, K]; channels past the rotation's width stay. */
export function rotate(x_BHTK: Tensor, { cos, sin }: Rotation): Tensor {
  const [headDim, width] = [x_BHTK.shape[3]!, cos.shape.at(-1)!];
  if (width === headDim) return addcmul(x_BHTK.mul(cos), x_BHTK.roll(width / 2, -1), sin);
  const turned = x_BHTK.narrow(3, 0, width);
  return cat([addcmul(turned.mul(cos), turned.roll(width / 2, -1), sin), x_BHTK.narrow(3, width, headDim - width)], -1);
}
