/**
 * LoRA training: the linear layers of a model are wrapped, the model is frozen, and the factors learn through the loop like
 * any other part. Adapters are saved in PEFT's layout, which `weights/lora.ts` and PEFT read, or merged into a model folder.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { io, nn, scope } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import { nearestName } from '../../config/json.js';
import type { LoraConfig } from '../../config/lora.js';
import { writeJson } from '../../files/durable.js';
import type { StoredWeight } from '../../weights/comm-folder.js';
import { mergeFactors } from '../../weights/lora.js';

/** The last part of a name: `q_proj` of `model.layers.0.self_attn.q_proj`. */
const lastOf = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

const isFactor = (key: string): boolean => /\.lora_[AB]\.weight$/.test(key);

/** Whether PEFT would adapt a linear layer of that name. */
function isTarget(name: string, targets: LoraConfig['targetModules']): boolean {
  if (targets === 'all-linear') return lastOf(name) !== 'lm_head';
  if (typeof targets === 'string') return new RegExp(`^(?:${targets})$`).test(name);
  return targets.some((target) => name === target || name.endsWith(`.${target}`));
}

/**
 * Freezes `module` and gives its target layers an adapter; only the factors ask for gradients afterwards. `prefix` is the
 * path of the module within the whole model (`language_model.`), with which names are matched and saved.
 * @returns the full names of the adapted layers.
 */
export function addLora(module: nn.Module, config: LoraConfig, prefix = ''): string[] {
  const isLinear = (layer: nn.Module): layer is nn.Linear | nn.Int8Linear =>
    layer instanceof nn.Linear || layer instanceof nn.Int8Linear;
  const { targetModules, rank, alpha, dropout, dtype } = config;
  const linears = [...module.namedModules()].filter(([, layer]) => isLinear(layer)).map(([key]) => `${prefix}${key}`);
  const wanted = new Set(linears.filter((name) => isTarget(name, targetModules)));
  const unmatched = Array.isArray(targetModules)
    ? targetModules.filter((target) => !linears.some((name) => isTarget(name, [target])))
    : wanted.size === 0
      ? [targetModules as string]
      : [];
  if (unmatched.length > 0) {
    const near = nearestName(unmatched[0]!, [...new Set(linears.map(lastOf))]);
    throw new CommError(`The adapter's target '${unmatched[0]}' is the name of no linear layer.`, {
      code: 'lora/target',
      fix: near === undefined ? `Layers are named as '${linears[0]}'.` : `Did you mean '${near}'?`,
    });
  }
  module.requiresGrad_(false);
  module.replaceModules((layer, key) =>
    isLinear(layer) && wanted.has(`${prefix}${key}`)
      ? new nn.LoraLinear(layer, { rank, scale: alpha / rank, dropout, dtype })
      : layer,
  );
  return [...wanted];
}

/** Adapted layers of a model by key. */
const adaptedLayers = (model: nn.Module): Map<string, nn.LoraLinear> =>
  new Map([...model.namedModules()].flatMap(([key, layer]) => (layer instanceof nn.LoraLinear ? [[key, layer]] : [])));

/** Options of `saveAdapter`. */
export interface SaveAdapterOptions {
  readonly config: LoraConfig;
  /** Folder or hub id of the model that the adapter belongs to. */
  readonly base: string;
}

/**
 * Writes `adapter_config.json` and `adapter_model.safetensors` as PEFT does. Everything else of the model that learned
 * (projector, merge) lies beside the factors in full, as PEFT's `modules_to_save`.
 */
export function saveAdapter(folder: string, model: nn.Module, { config, base }: SaveAdapterOptions): void {
  const learned = [...model.namedParameters()].filter(([, { requiresGrad }]) => requiresGrad);
  const whole = learned.map(([key]) => key).filter((key) => !isFactor(key));
  mkdirSync(folder, { recursive: true });
  scope(() =>
    io.writeSafetensors(
      join(folder, 'adapter_model.safetensors'),
      learned.map(([key, parameter]) => [`base_model.model.${key}`, parameter.detach()] as const),
      { format: 'pt' },
    ),
  );
  const json = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base,
    r: config.rank,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    // Names rather than a pattern: PEFT reads the same layers into a model whose parts are nested otherwise.
    target_modules: [...new Set([...adaptedLayers(model).keys()].map(lastOf))].sort(),
    modules_to_save: whole.length === 0 ? null : [...new Set(whole.map((key) => key.replace(/\.[^.]+$/, '')))],
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    use_rslora: false,
    use_dora: false,
  };
  // The config comes last: a folder with it is complete.
  writeJson(join(folder, 'adapter_config.json'), json);
}

/** The weights of a model with its adapters merged in, each when it is read: what `saveCommFolder` takes as `weights`. */
export function mergedWeights(model: nn.Module): StoredWeight[] {
  const layers = adaptedLayers(model);
  return [...model.stateDict()].flatMap(([key, tensor]): StoredWeight[] => {
    if (isFactor(key)) return [];
    const layer = key.endsWith('.weight') ? layers.get(key.replace(/\.weight$/, '')) : undefined;
    if (layer !== undefined && tensor.dtype === 'i8') {
      throw new CommError('An adapter would be rounded away in weights of 8 bits.', {
        code: 'lora/int8',
        fix: 'Save the adapter alone, and merge it into the bf16 model (commlm convert MODEL OUT --lora ADAPTER).',
      });
    }
    const load =
      layer === undefined
        ? () => tensor.detach()
        : () => mergeFactors(tensor, layer.loraA.weight, layer.loraB.weight, layer.loraScale);
    return [{ key, shape: tensor.shape, dtype: tensor.dtype, load }];
  });
}
