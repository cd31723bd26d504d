/** Rotary positions as transformers' config.json states them: `rope_parameters` of new versions, `rope_theta` and `rope_scaling` of older ones. */
import { z } from 'zod';
import { CommError } from '../../config/errors.js';
import type { LlamaConfig, RopeScaling } from '../../config/model.js';
import { readForeign } from '../files/hf-config.js';

const positiveInt = z.int().positive();
const positive = z.number().positive();

const HfRope = z.discriminatedUnion('rope_type', [
  z.looseObject({ rope_type: z.literal('default') }),
  z.looseObject({ rope_type: z.literal('linear'), factor: positive }),
  z.looseObject({ rope_type: z.literal('dynamic'), factor: positive }),
  z.looseObject({
    rope_type: z.literal('llama3'),
    factor: positive,
    low_freq_factor: positive,
    high_freq_factor: positive,
    original_max_position_embeddings: positiveInt,
  }),
  z.looseObject({
    rope_type: z.literal('yarn'),
    factor: positive,
    beta_fast: positive.nullish(),
    beta_slow: positive.nullish(),
    attention_factor: positive.nullish(),
    mscale: z.number().nullish(),
    mscale_all_dim: z.number().nullish(),
    truncate: z.boolean().nullish(),
    original_max_position_embeddings: positiveInt.nullish(),
  }),
]);

/** The fields of config.json that say how positions turn; part of every language model's schema. */
export const ropeFields = {
  max_position_embeddings: positiveInt,
  /** Longest text of some fine-tuned models with linear scaling, such as Vicuna's 16k ones. */
  max_sequence_length: positiveInt.nullish(),
  rope_theta: positive.nullish(),
  rope_scaling: z.record(z.string(), z.unknown()).nullish(),
  rope_parameters: z.record(z.string(), z.unknown()).nullish(),
  partial_rotary_factor: positive.max(1).nullish(),
};

const HfRopeFields = z.object(ropeFields);

/** What our config says of positions. */
export type RopeSettings = Required<Pick<LlamaConfig, 'ropeTheta' | 'ropeScaling' | 'maxPositions'>> & {
  /** Share of a head's channels that turn. */
  readonly rotaryShare: number;
};

/**
 * Reads the fields. `dynamic` scaling only sets in past `max_position_embeddings`, which is where this program stops, so
 * it is plain up to there; YaRN and Vicuna's linear scaling reach past it.
 */
export function ropeSettings(
  hf: z.infer<typeof HfRopeFields>,
  source: string,
  { theta: defaultTheta = 10_000, rotaryShare: defaultShare = 1 } = {},
): RopeSettings {
  const rope = hf.rope_parameters ?? hf.rope_scaling ?? {};
  const stated = readForeign(
    z.looseObject({ rope_theta: positive.nullish(), partial_rotary_factor: positive.max(1).nullish() }),
    rope,
    source,
  );
  refuseLayerWise(rope, source);
  refuseUnknown(rope, source);
  const type = rope['rope_type'] ?? rope['type'] ?? 'default';
  const scaling = readForeign(HfRope, { ...rope, rope_type: type }, source);
  const stretched: number[] = [hf.max_position_embeddings];
  if (scaling.rope_type === 'linear') stretched.push(hf.max_sequence_length ?? 0);
  if (scaling.rope_type === 'yarn') {
    const original = scaling.original_max_position_embeddings ?? hf.max_position_embeddings;
    stretched.push(Math.floor(original * scaling.factor));
  }
  return {
    ropeTheta: stated.rope_theta ?? hf.rope_theta ?? defaultTheta,
    ropeScaling: ropeScaling(scaling, hf.max_position_embeddings),
    maxPositions: Math.max(...stretched),
    rotaryShare: stated.partial_rotary_factor ?? hf.partial_rotary_factor ?? defaultShare,
  };
}

/** Newer families give each kind of layer its own rope; reading such an object as one would be silently wrong. */
function refuseLayerWise(rope: Record<string, unknown>, source: string): void {
  const nested = Object.keys(rope).find(
    (key) => typeof rope[key] === 'object' && rope[key] !== null && !Array.isArray(rope[key]),
  );
  if (nested === undefined) return;
  throw new CommError(`${source} gives '${nested}' a rope of its own, which is not supported.`, {
    code: 'weights/unsupported',
    fix: 'This checkpoint needs arithmetic that is not implemented, or its config.json is damaged.',
  });
}

/** Fields of a rope that are read, or that say where a scaling comes from. */
const ROPE_FIELDS = new Set([
  ...['rope_type', 'type', 'rope_theta', 'partial_rotary_factor', 'factor', 'original_max_position_embeddings'],
  ...['low_freq_factor', 'high_freq_factor', 'beta_fast', 'beta_slow', 'attention_factor', 'mscale', 'mscale_all_dim'],
  ...['truncate', 'finetuned'],
]);

/** Sections of time, height and width (M-RoPE), factors a channel (LongRoPE), and what comes next. */
function refuseUnknown(rope: Record<string, unknown>, source: string): void {
  const field = Object.keys(rope).find((key) => !ROPE_FIELDS.has(key) && rope[key] !== null && rope[key] !== false);
  if (field === undefined) return;
  throw new CommError(`${source} turns positions by '${field}', which is not supported.`, {
    code: 'weights/unsupported',
    fix: 'This checkpoint needs arithmetic that is not implemented, or its config.json is damaged.',
  });
}

function ropeScaling(scaling: z.infer<typeof HfRope>, maxPositions: number): RopeScaling {
  switch (scaling.rope_type) {
    case 'default':
    case 'dynamic':
      return { kind: 'none' };
    case 'linear':
      return { kind: 'linear', factor: scaling.factor };
    case 'llama3':
      return {
        kind: 'llama3',
        factor: scaling.factor,
        lowFreqFactor: scaling.low_freq_factor,
        highFreqFactor: scaling.high_freq_factor,
        originalMaxPositions: scaling.original_max_position_embeddings,
      };
    case 'yarn':
      return {
        kind: 'yarn',
        factor: scaling.factor,
        betaFast: scaling.beta_fast ?? 32,
        betaSlow: scaling.beta_slow ?? 1,
        attentionFactor: scaling.attention_factor ?? yarnAttention(scaling),
        truncate: scaling.truncate ?? true,
        originalMaxPositions: scaling.original_max_position_embeddings ?? maxPositions,
      };
  }
}

/** 0.1 ln(factor) + 1, or the ratio of two such terms where a checkpoint weighs them. */
function yarnAttention({
  factor,
  mscale,
  mscale_all_dim: all,
}: {
  factor: number;
  mscale?: number | null | undefined;
  mscale_all_dim?: number | null | undefined;
}): number {
  const term = (weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  return mscale && all ? term(mscale) / term(all) : term(1);
}
