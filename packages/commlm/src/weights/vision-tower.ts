/** The picture encoder of models that store it in a folder of its own: the original LLaVA, Shikra, Prismatic. */
import { CommError } from '../config/errors.js';
import type { EncoderConfig, ImageConfig, ViTConfig } from '../config/model.js';
import { CLIP_MEAN, CLIP_STD, clipViTL14 } from '../config/presets.js';
import { readFolderJson } from './hf-config.js';
import { type EncoderLayout, encoderLayoutOf } from './hf-folder.js';
import { type KeyRule, nested, renamed, withoutPrefix } from './key-rules.js';
import { readPictureConfig } from './picture-config.js';
import { WeightFiles } from './weight-files.js';
import { type OpenModelOptions, sourceAs, type WeightSource } from './whole-model.js';

/** An encoder of a whole model. */
export interface VisionTower {
  readonly type: EncoderConfig['type'];
  readonly vit: ViTConfig;
  /** What its own processor says. */
  readonly image: ImageConfig;
  readonly layout: Pick<EncoderLayout, 'prefix' | 'ignorable'>;
  /** Our names of encoder `index` against the stored ones below `theirs`. */
  readonly rules: (index: number, theirs: string) => KeyRule[];
  /** Opens the weights below `theirs`; undefined where only the config is known. */
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
  const layout = encoderLayoutOf({ model_type: 'clip_vision_model' }, source);
  const { imageSize: size } = vit;
  const norm = { mean: CLIP_MEAN, std: CLIP_STD };
  const image: ImageConfig = { size, fit: 'crop', shortSide: size, padColor: null, resample: 'bicubic', ...norm };
  return { ...common(layout, vit), image, open: undefined };
}

/** Says how to name a tower's folder. */
export const noTower = (source: string, name: string): CommError =>
  new CommError(`${source} takes its picture encoder from '${name}', which is not here.`, {
    code: 'weights/vision-tower',
    fix: `Get it with "commlm pull ${name}", or name a folder with --vision-tower.`,
  });

function fromFolder(folder: string): VisionTower {
  const json = readFolderJson(folder, 'config.json');
  const layout = encoderLayoutOf(json, folder);
  const vit = layout.config(json, folder);
  const open = (theirs: string): WeightSource => {
    const files = WeightFiles.open(folder);
    const plain = withoutPrefix(files, layout.prefix);
    return sourceAs(
      files,
      renamed(plain, (key) => theirs + key),
    );
  };
  return { ...common(layout, vit), image: readPictureConfig(folder, vit, layout), open };
}

const common = (layout: EncoderLayout, vit: ViTConfig): Omit<VisionTower, 'image' | 'open'> => ({
  type: layout.type,
  vit,
  layout,
  rules: (index, theirs) => nested(layout.rules(vit), `vision.encoders.${index}.vit.`, theirs),
});
