/** `adapter_config.json` of the peft library: how much a LoRA adapter's factors count, and what of it cannot be merged here. */
import { join } from 'node:path';
import { z } from 'zod';
import { CommError } from '../../config/errors.js';
import { readFolderJson, readForeign } from './hf-config.js';

export const ADAPTER_CONFIG = 'adapter_config.json';

const LoraConfig = z.looseObject({
  peft_type: z.string(),
  r: z.int().positive(),
  lora_alpha: z.number(),
  fan_in_fan_out: z.boolean().nullish(),
  use_rslora: z.boolean().nullish(),
  rank_pattern: z.record(z.string(), z.int().positive()).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
  modules_to_save: z.array(z.string()).nullish(),
  // Ways to begin; those that change the base model as well are refused, for the base here is the unchanged one.
  init_lora_weights: z.union([z.boolean(), z.enum(['gaussian', 'eva', 'orthogonal'])]).nullish(),
});
export type LoraConfig = z.infer<typeof LoraConfig>;

/** Fields that say how an adapter was trained or where it goes; which tensors it has is read from its weights. */
const HARMLESS = new Set([
  ...['peft_type', 'peft_version', 'r', 'lora_alpha', 'fan_in_fan_out', 'use_rslora', 'rank_pattern', 'alpha_pattern'],
  ...['auto_mapping', 'base_model_name_or_path', 'bias', 'corda_config', 'ensure_weight_tying', 'eva_config'],
  ...[
    'exclude_modules',
    'inference_mode',
    'init_lora_weights',
    'layers_pattern',
    'layers_to_transform',
    'loftq_config',
  ],
  ...['lora_dropout', 'lora_ga_config', 'megatron_config', 'megatron_core', 'modules_to_save', 'qalora_group_size'],
  ...['revision', 'runtime_config', 'target_modules', 'task_type'],
]);

/** Values that leave a field out. */
const isOff = (value: unknown): boolean =>
  value === null || value === false || (typeof value === 'object' && Object.keys(value as object).length === 0);

/** Reads it; throws a CommError for adapters of another kind, and for fields that change what merging means. */
export function readLoraConfig(folder: string): LoraConfig {
  const source = join(folder, ADAPTER_CONFIG);
  const json = readFolderJson(folder, ADAPTER_CONFIG);
  const config = readForeign(LoraConfig, json, source);
  const refuse = (what: string): never => {
    throw new CommError(`${source} asks for ${what}, which cannot be merged here.`, {
      code: 'lora/unsupported',
      fix: 'Merge it with the library that made it, and name the merged model.',
    });
  };
  if (config.peft_type !== 'LORA') refuse(`an adapter of type ${config.peft_type}`);
  if (json['use_dora'] === true) refuse('DoRA (use_dora)');
  for (const [field, value] of Object.entries(json)) {
    if (!HARMLESS.has(field) && !isOff(value)) refuse(`'${field}'`);
  }
  for (const pattern of [...Object.keys(config.rank_pattern ?? {}), ...Object.keys(config.alpha_pattern ?? {})]) {
    if (!/^\^?[\w.]+$/.test(pattern)) refuse(`the pattern '${pattern}'`);
  }
  return config;
}

/** Rank of a module's factors, and the number that their product counts with. */
export function rankAndScale(config: LoraConfig, module: string): { rank: number; scale: number } {
  const rank = matching(config.rank_pattern, module) ?? config.r;
  const alpha = matching(config.alpha_pattern, module) ?? config.lora_alpha;
  return { rank, scale: alpha / (config.use_rslora === true ? Math.sqrt(rank) : rank) };
}

/** The value of a pattern for a module: the pattern is the end of its name, or all of it behind a '^'. */
function matching<Value>(
  patterns: Readonly<Record<string, Value>> | null | undefined,
  module: string,
): Value | undefined {
  const found = Object.entries(patterns ?? {}).find(([pattern]) =>
    pattern.startsWith('^') ? pattern.slice(1) === module : module === pattern || module.endsWith(`.${pattern}`),
  );
  return found?.[1];
}

/** Whether a tensor belongs to a module that was trained whole, as a copy of its own. */
export const isSavedModule = ({ modules_to_save: saved }: LoraConfig, name: string): boolean =>
  (saved ?? []).some((module) => {
    const owner = name.slice(0, name.lastIndexOf('.'));
    return owner === module || owner.endsWith(`.${module}`);
  });
