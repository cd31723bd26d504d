/**
 * Shikra (2306.15195) as its authors store it: a Llama with a linear `model.mm_projector`, often as the difference to the
 * Llama it was trained from; the picture encoder is CLIP in a folder of its own.
 */
import { basename, join } from 'node:path';
import { cat, noGrad, scope, type Tensor } from '@commlm/torch';
import { z } from 'zod';
import { CommError } from '../../config/errors.js';
import { CommConfig, type ImageConfig, parseConfig } from '../../config/model.js';
import { WHITE } from '../../config/presets.js';
import { readFolderJson, readForeign } from '../files/hf-config.js';
import { addedTokenIds } from '../files/token-files.js';
import { WeightFiles } from '../files/weight-files.js';
import { checkKeys, nested } from '../key-rules.js';
import { checkSizes, type OpenModelOptions, type WeightSource, type WholeModel } from '../whole-model.js';
import { hfLanguageModel } from './hf-language.js';
import { INSIDE, openWithTower, projectorRules } from './llava-original.js';
import { withBoth } from './tied-head.js';
import { visionTower } from './vision-tower.js';

const ShikraConfig = z.looseObject({
  mm_vision_tower: z.string().min(1).default('openai/clip-vit-large-patch14'),
  mm_vision_select_layer: z.int().default(-2),
});

const TOKENS = ['<im_patch>', '<im_start>', '<im_end>'] as const;

/** Reads a Shikra folder; with `options.base` its weights are the difference to that Llama. */
export function shikraModel(folder: string, json: Record<string, unknown>, options: OpenModelOptions): WholeModel {
  const source = join(folder, 'config.json');
  const shikra = readForeign(ShikraConfig, json, source);
  const language = hfLanguageModel({ ...json, model_type: 'llama' }, source, { ours: 'language_model.' });
  const { config: textConfig } = language;
  const tower = visionTower(source, shikra.mm_vision_tower, 0, options);
  const ids = addedTokenIds(folder, TOKENS);
  const config = parseConfig(
    CommConfig,
    {
      modelType: 'comm',
      vision: {
        encoders: [
          {
            type: tower.type,
            vit: tower.vit,
            image: onWhite(tower.image),
            levels: [shikra.mm_vision_select_layer],
            applyFinalNorm: false,
            merge: { kind: 'single' },
            align: { kind: 'none' },
          },
        ],
        fuse: 'channels',
      },
      projector: { kind: 'linear' },
      imageTokens: { kind: 'wrapped', patchId: ids[0]!, startId: ids[1]!, endId: ids[2]! },
      textConfig,
    },
    source,
  );
  checkSizes(config, source);
  const { base } = options;
  if (base === undefined && /delta/i.test(basename(folder))) {
    throw new CommError(`${folder} is a difference to a Llama, by its name, and no model by itself.`, {
      code: 'weights/base',
      fix: 'Name that Llama with --base, or rename the folder if it is whole.',
    });
  }
  return {
    modelType: 'shikra',
    config,
    tokenizer: folder,
    openWeights: () => {
      const own = openWithTower(folder, source, shikra.mm_vision_tower, tower);
      return base === undefined ? own : withBase(own, base);
    },
    rules: [
      ...nested(tower.rules(), 'vision.encoders.0.vit.', INSIDE),
      ...projectorRules({ kind: 'linear' }),
      ...language.rules,
    ],
    tiedHead: language.tiedHead,
    leftovers: (key) => (key.startsWith(INSIDE) ? tower.leftovers(key.slice(INSIDE.length)) : language.leftovers(key)),
  };
}

/** Shikra's canvas is white (paper-notes 10). */
const onWhite = (image: ImageConfig): ImageConfig => ({ ...image, fit: 'pad', shortSide: null, padColor: [...WHITE] });

/** Tables with a row for each token, which a delta may have more of than its base. */
const TABLES = ['model.embed_tokens.weight', 'lm_head.weight'];

/**
 * delta + base, tensor by tensor as they are read. Rows of tokens that the base does not know, and tensors that a Llama
 * does not have, are the delta's own. Throws a CommError for a base that does not fit.
 */
export function withBase(delta: WeightSource, baseFolder: string): WeightSource {
  const baseJson = readFolderJson(baseFolder, 'config.json');
  const files = WeightFiles.open(baseFolder);
  const language = hfLanguageModel(baseJson, join(baseFolder, 'config.json'));
  // A Llama that ties its head was added to head and table alike.
  const base = language.tiedHead === undefined ? files : withBoth(files, language.tiedHead);
  const close = (): void => {
    files.close();
    delta.close();
  };
  try {
    const stored = new Set(base.keys);
    const ofLlama = new Set([...stored, ...language.rules.flatMap(({ theirs }) => theirs)]);
    const shapes = delta.keys
      .filter((key) => ofLlama.has(key))
      .map((key) => {
        const { shape } = delta.info(key);
        return [key, stored.has(key) ? fittingShape(key, shape, base.info(key).shape) : shape] as const;
      });
    checkKeys(base, new Map(shapes), language.leftovers);
    if (shapes.length === 0) {
      throw new CommError(`${base.name} has no tensor in common with ${delta.name}.`, {
        code: 'weights/base',
        fix: 'Name the Llama that the delta was made from with --base.',
      });
    }
  } catch (error) {
    close();
    throw error;
  }
  const known = new Set(base.keys);
  return {
    name: delta.name,
    keys: delta.keys,
    info: (key) => delta.info(key),
    tensor: (key) => (known.has(key) ? sum(delta.tensor(key), base.tensor(key)) : delta.tensor(key)),
    numBytes: delta.numBytes,
    close,
  };
}

/** The base's own shape where it is a table with fewer rows, else the delta's. */
const fittingShape = (key: string, delta: readonly number[], base: readonly number[]): readonly number[] =>
  TABLES.includes(key) && base.length === 2 && base[0]! <= delta[0]! && base[1] === delta[1] ? base : delta;

/** In the delta's dtype, as its authors add them. */
const sum = (delta: Tensor, base: Tensor): Tensor =>
  noGrad(() =>
    scope(() => {
      const rows = base.shape[0]!;
      const added = delta.narrow(0, 0, rows).add(base.to(delta.dtype));
      const more = delta.shape[0]! - rows;
      return more === 0 ? added : cat([added, delta.narrow(0, rows, more)]);
    }),
  );
