/** The picture encoder of models that store it in a folder of its own: the original LLaVA, Shikra, Prismatic. */
import { BYTES_PER_ELEMENT } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import type { EncoderConfig, ImageConfig, ViTConfig } from '../../config/model.js';
import { CLIP_MEAN, CLIP_STD, clipViTL14 } from '../../config/presets.js';
import type { EncoderPlan } from '../encoder-plan.js';
import { planEncoder } from '../encoder-reader.js';
import { openEncoderFiles } from '../files/encoder-files.js';
import { type KeyRule, renamed, type TensorSource, withoutPrefix } from '../key-rules.js';
import type { Leftovers } from '../leftover.js';
import type { OpenModelOptions, WeightSource } from '../whole-model.js';
import { CLIP_PREFIX, clipLeftovers, clipRules } from './hf-clip.js';

/** An encoder of a whole model. */
export interface VisionTower {
  readonly type: EncoderConfig['type'];
  readonly vit: ViTConfig;
  /** What its own processor says. */
  readonly image: ImageConfig;
  readonly rules: () => KeyRule[];
  readonly leftovers: Leftovers;
  /** The encoder's tensors by the names of the rules, from a checkpoint that nests them in one way or another. */
  readonly named: (inside: TensorSource) => TensorSource;
  /** Opens its own folder, names below `theirs`; undefined where only the config is known. */
  readonly open: ((theirs: string) => WeightSource) | undefined;
}

/** Encoders that are known by name alone, for checkpoints that hold the weights but not the config. */
const known: Readonly<Record<string, () => ViTConfig>> = {
  'openai/clip-vit-large-patch14-336': () => clipViTL14(),
  'openai/clip-vit-large-patch14': () => clipViTL14({ imageSize: 224, grid: 16 }),
};

/**
 * The tower `index` of a model: the folder given for it, else the one that `name` (from config.json) leads to, else what is
 * known about the name. Throws a CommError when nothing is.
 */
export function visionTower(source: string, name: string, index: number, options: OpenModelOptions): VisionTower {
  const folder = options.visionTowers?.[index] ?? options.resolve?.(name);
  if (folder !== undefined) return fromFolder(folder);
  const vit = Object.hasOwn(known, name) ? known[name]?.() : undefined;
  if (vit === undefined) throw noTower(source, name);
  const { imageSize: size } = vit;
  const norm = { mean: CLIP_MEAN, std: CLIP_STD };
  return {
    type: 'clip',
    vit,
    image: { size, fit: 'crop', shortSide: size, padColor: null, resample: 'bicubic', ...norm },
    rules: () => clipRules(vit),
    leftovers: clipLeftovers,
    named: (inside) => withoutPrefix(inside, CLIP_PREFIX),
    open: undefined,
  };
}

/** Says how to name a tower's folder. */
export const noTower = (source: string, name: string): CommError =>
  new CommError(`${source} takes its picture encoder from '${name}', which is not here.`, {
    code: 'weights/vision-tower',
    fix: `Get it with "commlm pull ${name}", or name a folder with --vision-tower.`,
  });

function fromFolder(folder: string): VisionTower {
  const plan = (files: TensorSource): EncoderPlan => planEncoder(folder, files);
  using described = openEncoderFiles(folder);
  const { type, vit, image, rules, leftovers } = plan(described);
  const open = (theirs: string): WeightSource => {
    const files = openEncoderFiles(folder);
    const named = renamed(plan(files).source, (key) => theirs + key);
    return {
      name: files.name,
      keys: named.keys,
      info: named.info,
      tensor: named.tensor,
      numBytes: bytesOf(named),
      close: () => files[Symbol.dispose](),
    };
  };
  return { type, vit, image, rules, leftovers, named: (inside) => plan(inside).source, open };
}

const bytesOf = (source: TensorSource): number =>
  source.keys.reduce((sum, key) => {
    const { dtype, shape } = source.info(key);
    return sum + shape.reduce((a, b) => a * b, 1) * BYTES_PER_ELEMENT[dtype];
  }, 0);
