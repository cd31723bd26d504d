/**
 * Language models that transformers wrote, by the `model_type` of their config.json: alone in a folder, or as the
 * `text_config` of a whole model whose weights lie under other names.
 */
import { join } from 'node:path';
import { nn, scope } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import { nearestName, parseConfig } from '../../config/json.js';
import { LlamaConfig } from '../../config/model.js';
import { Llama } from '../../models/llama.js';
import { refuseQuantisedConfig } from '../files/foreign-quantization.js';
import { type LoadOptions, readFolderJson } from '../files/hf-config.js';
import { refuseUnheeded } from '../files/unheeded.js';
import { WeightFiles } from '../files/weight-files.js';
import { checkKeys, type KeyRule, same, type TensorSource, theirShapes, toOurs } from '../key-rules.js';
import { type Leftovers, rotaryTable } from '../leftover.js';
import { gemma2Config } from './hf-gemma2.js';
import { llamaConfig, mistralConfig, qwen2Config, qwen3Config } from './hf-llama.js';
import { phiConfig, phiName } from './hf-phi.js';
import { settleHead, type TiedHead } from './tied-head.js';

/** How one `model_type` is read; a new one is a new entry in `layouts`. */
interface Layout {
  readonly config: (json: Record<string, unknown>, source: string) => LlamaConfig;
  /** Their name of one of our tensors, both as in a checkpoint of the language model alone. */
  readonly theirs: (ours: string) => string;
  /** Fields of unheeded.ts that `config` reads. */
  readonly heeds: readonly string[];
}

const WINDOW = ['sliding_window', 'layer_types'];

const asOurs = (ours: string): string => ours;

const layouts: Readonly<Record<string, Layout>> = {
  llama: { config: llamaConfig, theirs: asOurs, heeds: [] },
  mistral: { config: mistralConfig, theirs: asOurs, heeds: WINDOW },
  qwen2: { config: qwen2Config, theirs: asOurs, heeds: WINDOW },
  qwen3: { config: qwen3Config, theirs: asOurs, heeds: WINDOW },
  phi: { config: phiConfig, theirs: phiName, heeds: ['qk_layernorm'] },
  gemma2: {
    config: gemma2Config,
    theirs: asOurs,
    heeds: [
      ...WINDOW,
      ...['query_pre_attn_scalar', 'attn_logit_softcapping', 'final_logit_softcapping', 'use_bidirectional_attention'],
    ],
  },
};

/** Values of `model_type` that are read here. */
export const languageModelTypes: readonly string[] = Object.keys(layouts);

/** Where a language model lies within a whole model; by default it is one alone. */
export interface LanguagePlace {
  /** In front of our keys, e.g. `language_model.`. */
  readonly ours?: string;
  /** In place of `model.` in their keys, e.g. `language_model.model.` or `model.language_model.`. */
  readonly model?: string;
  /** In place of `lm_head.` in their keys, e.g. `language_model.lm_head.`. */
  readonly head?: string;
}

/** A language model of another layout: our config, and where its tensors are. */
export interface HfLanguageModel {
  /** Their `model_type`. */
  readonly type: string;
  readonly config: LlamaConfig;
  /** One rule for each of our tensors. */
  readonly rules: readonly KeyRule[];
  /** Stored tensors that no rule reads: rotary tables of old versions. */
  readonly leftovers: Leftovers;
  /** Where the head would be that config.json ties to the embedding; undefined where it does not. */
  readonly tiedHead: TiedHead | undefined;
}

/**
 * Reads a parsed `config.json` or `text_config`; no weights. Throws a CommError for an unknown `model_type`, arithmetic
 * that is not implemented, and sizes that no model has.
 */
export function hfLanguageModel(
  json: Record<string, unknown>,
  source: string,
  { ours = '', model = 'model.', head = 'lm_head.' }: LanguagePlace = {},
): HfLanguageModel {
  refuseQuantisedConfig(json, source);
  const type = String(json['model_type']);
  const layout = Object.hasOwn(layouts, type) ? layouts[type] : undefined;
  if (layout === undefined) throw unknownType(type, source);
  refuseUnheeded(json, source, layout.heeds);
  const config = parseConfig(LlamaConfig, layout.config(json, source), source);
  const placed = (theirs: string): string => theirs.replace(/^model\./, () => model).replace(/^lm_head\./, () => head);
  const rules = languageKeys(config).map((key) => same(`${ours}${key}`, placed(layout.theirs(key))));
  const tiedHead = config.tieWordEmbeddings
    ? {
        table: rules.find((rule) => rule.ours === `${ours}${TABLE}`)!,
        head: same(`${ours}${HEAD}`, placed(HEAD)),
      }
    : undefined;
  const frequencies = rotaryTable(config);
  return {
    type,
    config,
    rules,
    leftovers: (key) =>
      key.startsWith(model) && /(^|\.)rotary_emb\.inv_freq$/.test(key.slice(model.length)) ? frequencies : undefined,
    tiedHead,
  };
}

const TABLE = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';

/** The same model with its head as the stored weights have it. */
export function settled(model: HfLanguageModel, source: TensorSource): HfLanguageModel {
  const { tiedHead, config } = model;
  if (tiedHead === undefined) return model;
  const { rules, leftovers, isTied } = settleHead(source, tiedHead, model);
  return { ...model, rules, leftovers, config: { ...config, tieWordEmbeddings: isTied }, tiedHead: undefined };
}

/** Whether a config.json is of one of these types. */
export const isLanguageModel = (json: Record<string, unknown>): boolean =>
  Object.hasOwn(layouts, String(json['model_type']));

/** Table and head of a language model alone that ties them, by their names; undefined for one that does not, or is not known. */
export function tiedHeadOf(json: Record<string, unknown>): TiedHead | undefined {
  const tied = json['tie_word_embeddings'] ?? json['model_type'] === 'gemma2';
  return tied === true && isLanguageModel(json) ? { table: same(TABLE, TABLE), head: same(HEAD, HEAD) } : undefined;
}

/** Our keys of a language model: those of its first block stand for all. */
function languageKeys(config: LlamaConfig): string[] {
  const { slidingWindow: _, ...rest } = config;
  using model = nn.onMeta(() => new Llama({ ...rest, numLayers: 1 }));
  const first = 'model.layers.0.';
  return scope(() =>
    [...model.stateDict().keys()].flatMap((key) =>
      key.startsWith(first)
        ? Array.from({ length: config.numLayers }, (_, i) => `model.layers.${i}.${key.slice(first.length)}`)
        : [key],
    ),
  );
}

function unknownType(type: string, source: string): CommError {
  const nearest = nearestName(type, languageModelTypes);
  return new CommError(`${source} describes a model of type '${type}', which is not a language model known here.`, {
    code: 'weights/model-type',
    fix: `Known types are ${languageModelTypes.join(', ')}${nearest === undefined ? '' : `; did you mean '${nearest}'?`}.`,
  });
}

/**
 * Reads a parsed config.json and checks names and shapes of the weights in `files` against it; throws a CommError that
 * lists what does not fit.
 */
export function checkedHfLanguageModel(
  json: Record<string, unknown>,
  source: string,
  files: TensorSource,
): HfLanguageModel {
  const language = settled(hfLanguageModel(json, source), files);
  using model = nn.onMeta(() => new Llama(language.config));
  scope(() => checkKeys(files, theirShapes(language.rules, model.stateDict()), language.leftovers));
  return language;
}

/** Reads a folder with a language model; missing, unexpected or misshaped tensors stop it with a CommError. Gradients are off. */
export function loadHfLanguageModel(folder: string, options: LoadOptions = {}): Llama {
  const described = hfLanguageModel(readFolderJson(folder, 'config.json'), join(folder, 'config.json'));
  using files = WeightFiles.open(folder);
  const { config, rules, leftovers } = settled(described, files);
  const model = nn.onMeta(() => new Llama(config));
  scope(() => {
    model.loadStateDict(toOurs(files, rules, model.stateDict(), leftovers), { assign: true });
    model.to(options).requiresGrad_(false).eval();
  });
  return model;
}
