/** Opens a whole model of any layout by what its config.json says. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CommError } from '../config/errors.js';
import { nearestName } from '../config/json.js';
import { describeComm } from './comm-folder.js';
import { refuseQuantisedConfig } from './files/foreign-quantization.js';
import { readFolderJson } from './files/hf-config.js';
import { ADAPTER_CONFIG } from './files/lora-config.js';
import { llavaModel } from './layouts/llava.js';
import { originalLlavaModel } from './layouts/llava-original.js';
import { isNanoVlm, nanoVlmModel } from './layouts/nanovlm.js';
import { isPrismatic, prismaticModel } from './layouts/prismatic.js';
import { shikraModel } from './layouts/shikra.js';
import { keysOf, settleHead } from './layouts/tied-head.js';
import { withLora } from './lora.js';
import { type LoadedComm, type OpenModelOptions, readWhole, type WholeModel } from './whole-model.js';

/** An adapter: reads the config of a folder, touches no weights. */
type Adapter = (folder: string, json: Record<string, unknown>, options: OpenModelOptions) => WholeModel;

/** Adapters by `model_type`; a new layout is a new entry. */
const adapters: Readonly<Record<string, Adapter>> = {
  llava: (folder, json, options) => (isOriginalLlava(json) ? originalLlavaModel : llavaModel)(folder, json, options),
  llava_llama: originalLlavaModel,
  shikra: shikraModel,
};

/** The authors and the transformers library share the name; the authors keep the language model's fields at the top. */
const isOriginalLlava = (json: Record<string, unknown>): boolean =>
  json['text_config'] === undefined && json['mm_vision_tower'] !== undefined;

/** Whether a folder holds a whole model (encoders, projector and language model) of a known layout. */
export function isWholeModel(json: Record<string, unknown>): boolean {
  return json['model_type'] === 'comm' || adapterOf(json) !== undefined;
}

function adapterOf(json: Record<string, unknown>): Adapter | undefined {
  const type = String(json['model_type']);
  if (Object.hasOwn(adapters, type)) return adapters[type];
  if (isNanoVlm(json)) return nanoVlmModel;
  return isPrismatic(json) ? prismaticModel : undefined;
}

/** Config and layout of a model folder; throws a CommError for a type that is not known. No weights are read. */
export function describeModel(folder: string, options: OpenModelOptions = {}): WholeModel {
  refuseAdapterBeside(folder, options);
  const whole = describeFolder(folder, options);
  const { lora } = options;
  return settledModel(lora === undefined ? whole : withAdapter(whole, lora));
}

function withAdapter(whole: WholeModel, lora: string): WholeModel {
  const { tiedHead } = whole;
  const used = new Set([...whole.rules.flatMap(({ theirs }) => theirs), ...(tiedHead ? keysOf(tiedHead) : [])]);
  const target = { tiedHead, isUsed: (key: string) => used.has(key) };
  return { ...whole, openWeights: () => withLora(whole.openWeights(), lora, target) };
}

/** The model with its head as the stored weights have it. */
function settledModel(whole: WholeModel): WholeModel {
  const { tiedHead, config } = whole;
  if (tiedHead === undefined) return whole;
  const source = whole.openWeights();
  try {
    const { rules, leftovers, isTied } = settleHead(source, tiedHead, whole);
    const textConfig = { ...config.textConfig, tieWordEmbeddings: isTied };
    return { ...whole, rules, leftovers, config: { ...config, textConfig }, tiedHead: undefined };
  } finally {
    source.close();
  }
}

/** transformers would put an adapter that lies in a model's folder into the model; here it has to be named. */
function refuseAdapterBeside(folder: string, { lora }: OpenModelOptions): void {
  if (!existsSync(join(folder, ADAPTER_CONFIG)) || lora !== undefined) return;
  throw new CommError(`${folder} holds a LoRA adapter (${ADAPTER_CONFIG}).`, {
    code: 'weights/adapter-beside',
    fix: 'Name the model that it was made for with --model and the adapter with --lora, or move the adapter away if it is merged already.',
  });
}

function describeFolder(folder: string, options: OpenModelOptions): WholeModel {
  const json = readFolderJson(folder, 'config.json');
  if (json['model_type'] === 'comm') return describeComm(folder);
  refuseQuantisedConfig(json, join(folder, 'config.json'));
  const adapter = adapterOf(json);
  if (adapter !== undefined) return adapter(folder, json, options);
  const type = String(json['model_type']);
  const known = ['comm', ...Object.keys(adapters), 'prismatic', 'nanovlm'];
  const near = nearestName(type, known);
  throw new CommError(
    `${join(folder, 'config.json')} describes a model of type '${type}', which does not look at pictures and talk.`,
    {
      code: 'weights/model-type',
      fix:
        near === undefined
          ? `Known types are ${known.join(', ')}.`
          : `Did you mean '${near}'? Known types are ${known.join(', ')}.`,
    },
  );
}

/** Opens a model folder of any known layout: strict about keys and shapes, weights mapped, gradients off. */
export function openModel(folder: string, options: OpenModelOptions = {}): LoadedComm & { readonly tokenizer: string } {
  const whole = describeModel(folder, options);
  return { ...readWhole(whole, options), tokenizer: whole.tokenizer };
}
