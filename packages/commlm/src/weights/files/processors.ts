/**
 * The processor classes of transformers that prepare pictures for the encoders here. What a preprocessor_config.json leaves
 * out is as in its class, and null is none; what would make other pixels than are made here is refused by the field's name.
 */
import { CommError } from '../../config/errors.js';
import type { ImageConfig } from '../../config/model.js';
import { CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD } from '../../config/presets.js';

type Triple = readonly [number, number, number];

/** Defaults of one class. */
interface ProcessorClass {
  readonly size: { readonly shortest_edge: number } | { readonly height: number; readonly width: number };
  /** What a bare number in `size` means. */
  readonly numberIs: 'square' | 'short side';
  /** Side of the centre that is cut out; undefined for a class that cuts nothing by itself. */
  readonly crop?: number;
  /** Pillow's number of the filter: 2 bilinear, 3 bicubic. */
  readonly resample: 2 | 3;
  readonly mean: Triple;
  readonly std: Triple;
  /** Set for the class that resizes in floating point. */
  readonly rounding?: 'none';
  /** Set for the class whose `do_pad` puts the picture on a square of the mean colour first. */
  readonly padsToSquare?: true;
}

const HALF: Triple = [0.5, 0.5, 0.5];

const clip: ProcessorClass = {
  size: { shortest_edge: 224 },
  numberIs: 'short side',
  crop: 224,
  resample: 3,
  mean: CLIP_MEAN,
  std: CLIP_STD,
};

const vit: ProcessorClass = {
  size: { height: 224, width: 224 },
  numberIs: 'square',
  resample: 2,
  mean: HALF,
  std: HALF,
};

const classes: Readonly<Record<string, ProcessorClass>> = {
  CLIPImageProcessor: clip,
  BitImageProcessor: clip,
  LlavaImageProcessor: { ...clip, padsToSquare: true },
  ViTImageProcessor: vit,
  DeiTImageProcessor: { ...vit, size: { height: 256, width: 256 }, crop: 224, resample: 3 },
  SiglipImageProcessor: { ...vit, numberIs: 'short side', resample: 3 },
  BlipImageProcessor: { ...vit, size: { height: 384, width: 384 }, resample: 3, mean: CLIP_MEAN, std: CLIP_STD },
  DINOv3ViTImageProcessor: { ...vit, mean: IMAGENET_MEAN, std: IMAGENET_STD, rounding: 'none' },
};

/** Class of a file that names none, by the model's type. */
const ofModelType: Readonly<Record<string, string>> = {
  clip: 'CLIPImageProcessor',
  clip_vision_model: 'CLIPImageProcessor',
  dinov2: 'BitImageProcessor',
  dinov2_with_registers: 'BitImageProcessor',
  siglip: 'SiglipImageProcessor',
  siglip_vision_model: 'SiglipImageProcessor',
  vit: 'ViTImageProcessor',
  vit_mae: 'ViTImageProcessor',
  deit: 'DeiTImageProcessor',
  dinov3_vit: 'DINOv3ViTImageProcessor',
  llava: 'LlavaImageProcessor',
};

/** Pillow's numbers of the filters that are known here. */
const FILTERS = new Map<unknown, ImageConfig['resample']>([
  [1, 'lanczos'],
  [2, 'bilinear'],
  [3, 'bicubic'],
]);

/** What every way of fitting has. */
type Normalised = Pick<ImageConfig, 'resample' | 'mean' | 'std'>;

/** Throws the error of one field. */
type Fail = (field: string, what: string) => never;

/** How a preprocessor_config.json prepares pictures; `source` names it in errors. Throws `image/preprocessor-config`. */
export function processorConfig(json: Record<string, unknown>, source: string, modelType: string): ImageConfig {
  const fail: Fail = (field, what) => {
    throw new CommError(`${source}: ${field} ${what}.`, {
      code: 'image/preprocessor-config',
      fix: 'Pictures are resized to a square, or to a short side and a square cut out of the centre, times 1/255, and normalised: use a model that wants that.',
    });
  };
  const type = classOf(json, modelType, fail);
  const own = classes[type]!;
  const stated = (field: string, usual: unknown): unknown => (field in json ? json[field] : usual);
  const flag = (field: string, usual: boolean): boolean => {
    const value = stated(field, usual) ?? false;
    return typeof value === 'boolean' ? value : fail(field, `is ${JSON.stringify(value)}, not true or false`);
  };
  if (!flag('do_resize', true)) fail('do_resize', 'is false, and pictures of any size are not supported');
  if (!flag('do_rescale', true)) fail('do_rescale', 'is false, which is not supported');
  const factor = stated('rescale_factor', 1 / 255);
  if (typeof factor !== 'number' || Math.abs(factor * 255 - 1) > 1e-6) {
    fail('rescale_factor', `is ${JSON.stringify(factor)}, and only 1/255 is supported`);
  }
  const filter = stated('resample', own.resample);
  const resample =
    FILTERS.get(filter) ??
    fail('resample', `is ${JSON.stringify(filter)}, and only 1 (Lanczos), 2 (bilinear) and 3 (bicubic) are known`);
  const mean = (): [number, number, number] => triple(stated('image_mean', own.mean), 'image_mean', fail);
  const common: Normalised = flag('do_normalize', true)
    ? { resample, mean: mean(), std: triple(stated('image_std', own.std), 'image_std', fail) }
    : { resample, mean: [0, 0, 0], std: [1, 1, 1] };
  const cut = flag('do_center_crop', own.crop !== undefined)
    ? cropSide(stated('crop_size', own.crop), fail)
    : undefined;
  const sides = readSize(stated('size', own.size), own, fail);
  if (flag('do_pad', false)) {
    if (own.padsToSquare) return padded(sides.side, cut, mean(), common, fail);
    if ((json['pad_size'] ?? null) !== null) fail('pad_size', 'is not supported');
  }
  const placed = fitted(sides, cut, fail);
  if (own.rounding !== undefined) {
    // The class resizes before it cuts, in floating point; only the whole picture is done so here.
    if (placed.fit !== 'stretch') fail('do_center_crop', `is not supported of ${type}`);
    return { ...common, ...placed, padColor: null, rounding: own.rounding };
  }
  return { ...common, ...placed, padColor: null };
}

/** The class that a file names, in the spellings of all versions; else the one of the model's type. */
function classOf(json: Record<string, unknown>, modelType: string, fail: Fail): string {
  const field = json['image_processor_type'] != null ? 'image_processor_type' : 'feature_extractor_type';
  const named = json[field] ?? undefined;
  if (named === undefined) {
    if (json['auto_map'] != null) fail('auto_map', 'asks for code of its own, which is not run');
    return ofModelType[modelType] ?? fail('image_processor_type', 'is missing');
  }
  const type = String(named)
    .replace(/FeatureExtractor$/, 'ImageProcessor')
    .replace(/(Fast|Pil)$/, '');
  if (Object.hasOwn(classes, type)) return type;
  return fail(field, `is ${JSON.stringify(named)}, which is not known (known are ${Object.keys(classes).join(', ')})`);
}

function triple(value: unknown, field: string, fail: Fail): [number, number, number] {
  const isNumber = (x: unknown): boolean => typeof x === 'number' && Number.isFinite(x);
  if (isNumber(value)) return [value, value, value] as [number, number, number];
  if (Array.isArray(value) && value.length === 3 && value.every(isNumber)) return value as [number, number, number];
  return fail(field, `is ${JSON.stringify(value)}, not a number or three`);
}

/** A side in pixels, of a square or the shorter one. */
interface Sides {
  readonly side: number;
  readonly kind: 'square' | 'short side';
}

function readSize(value: unknown, { numberIs }: ProcessorClass, fail: Fail): Sides {
  if (isSide(value)) return { side: value, kind: numberIs };
  const { height, width, side } = rectangle(value, 'size', fail);
  if (side !== undefined) return { side, kind: 'short side' };
  if (height !== width) fail('size', `is ${height} x ${width}, which is not square`);
  return { side: height, kind: 'square' };
}

function cropSide(value: unknown, fail: Fail): number {
  if (value === undefined || value === null) return fail('crop_size', 'is missing, and do_center_crop asks for it');
  if (isSide(value)) return value;
  const { height, width, side } = rectangle(value, 'crop_size', fail);
  if (side !== undefined) fail('crop_size', 'has a shortest_edge, where height and width are needed');
  if (height !== width) fail('crop_size', `is ${height} x ${width}, which is not square`);
  return height;
}

/** `[height, width]` or an object; `side` where the object has a shorter side alone. */
function rectangle(value: unknown, field: string, fail: Fail): { height: number; width: number; side?: number } {
  const [height, width] = Array.isArray(value) ? (value as unknown[]) : [];
  const given = Array.isArray(value) && value.length === 2 ? { height, width } : value;
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) {
    // null is what new versions write for what is not set.
    const set = Object.entries(given as Record<string, unknown>).filter(([, side]) => side !== null);
    const sides = Object.fromEntries(set) as Record<string, unknown>;
    const names = Object.keys(sides).sort().join();
    if (names === 'shortest_edge' && isSide(sides['shortest_edge']))
      return { height: 0, width: 0, side: sides['shortest_edge'] };
    if (names === 'height,width' && isSide(sides['height']) && isSide(sides['width'])) {
      return { height: sides['height'], width: sides['width'] };
    }
  }
  return fail(field, `is ${JSON.stringify(value)}, which is not supported`);
}

const isSide = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0;

function fitted(
  { side, kind }: Sides,
  cut: number | undefined,
  fail: Fail,
): Pick<ImageConfig, 'fit' | 'size' | 'shortSide'> {
  if (kind === 'short side') {
    if (cut === undefined) return fail('do_center_crop', 'is false, and a short side alone makes no square');
    return { fit: 'crop', size: cut, shortSide: side };
  }
  if (cut === undefined || cut === side) return { fit: 'stretch', size: side, shortSide: null };
  return { fit: 'stretch-crop', size: cut, shortSide: side };
}

/** The whole picture on a square of the mean colour, whose bytes are cut off; what follows only resizes it. */
function padded(side: number, cut: number | undefined, mean: Triple, common: Normalised, fail: Fail): ImageConfig {
  if (cut !== undefined && cut !== side) fail('crop_size', `is ${cut}, which cuts a padded picture of ${side}`);
  return { ...common, fit: 'pad', size: side, shortSide: null, padColor: meanColor(mean) };
}

/** The colour that LLaVA pads with: the mean of the normalisation as bytes, cut off. */
export const meanColor = (mean: Triple): [number, number, number] => [
  Math.trunc(mean[0] * 255),
  Math.trunc(mean[1] * 255),
  Math.trunc(mean[2] * 255),
];
