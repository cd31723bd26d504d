/**
 * Fields of foreign language models that change the arithmetic where a family heeds them. A config.json may carry one from
 * another family; passing over a value that does something there would be silently wrong, so that it is refused by name.
 */
import { CommError } from '../../config/errors.js';

/** Whether a value leaves the arithmetic of a Llama as it is; `json` is the whole config. */
type IsNeutral = (value: unknown, json: Readonly<Record<string, unknown>>) => boolean;

const off: IsNeutral = (value) => value === false;
const one: IsNeutral = (value) => value === 1;
const never: IsNeutral = () => false;
const all =
  (...kept: readonly unknown[]): IsNeutral =>
  (value) =>
    Array.isArray(value) && value.every((each) => kept.includes(each));

/** null and absent are neutral for all of them. */
const FIELDS: Readonly<Record<string, IsNeutral>> = {
  // Factors on embeddings, branches, scores and logits.
  logit_scale: one,
  logits_scaling: one,
  embedding_multiplier: one,
  residual_multiplier: one,
  scale_emb: one,
  attention_multiplier: never,
  scale_depth: never,
  dim_model_base: never,
  query_pre_attn_scalar: (value, { head_dim: width }) => value === width,
  attn_logit_softcapping: never,
  final_logit_softcapping: never,
  clip_qkv: never,
  attn_temperature_tuning: (value) => value === false || value === 0,
  // Norms on queries and keys.
  qk_layernorm: off,
  use_qk_layernorm: off,
  qk_norm: off,
  use_qk_norm: off,
  // What a token sees.
  sliding_window: (_, { use_sliding_window: used }) => used === false,
  layer_types: all('full_attention'),
  attention_chunk_size: never,
  use_bidirectional_attention: off,
  is_causal: (value) => value === true,
  // Positions.
  no_rope_layers: all(1, true),
  no_rope_layer_interval: never,
  rope_interleaved: off,
  rope_interleave: off,
  rope_local_base_freq: never,
  rotary_pct: one,
  alibi: off,
  position_embedding_type: (value) => ['rope', 'rotary', 'default', 'absolute'].includes(String(value)),
  // How the branches of a block stand.
  parallel_attn: off,
  use_parallel_residual: off,
  add_cross_attention: off,
};

/** Throws a CommError for a field that does something and that the layout does not heed. */
export function refuseUnheeded(
  json: Readonly<Record<string, unknown>>,
  source: string,
  heeded: readonly string[],
): void {
  for (const [field, isNeutral] of Object.entries(FIELDS)) {
    const value = json[field];
    if (value === undefined || value === null || heeded.includes(field) || isNeutral(value, json)) continue;
    throw new CommError(
      `${source} has '${field}': ${shown(value)}, which a model of type '${String(json['model_type'])}' does not heed here.`,
      {
        code: 'weights/unsupported',
        fix: 'If the model was trained without it, remove the field from config.json; else it needs arithmetic that is not implemented.',
      },
    );
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
