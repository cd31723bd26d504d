/**
 * Number formats of a running model, and filling a model tensor by tensor: one mapped weight is read, converted or quantised,
 * and its pages leave the resident memory before the next one, so that a model never takes more than its own size.
 */
import { type Device, type DType, io, isFloating, nn, scope, type Tensor, TorchError } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { CommConfig } from '../config/model.js';
import { Comm } from '../models/comm.js';
import { checkFinite } from './files/finite.js';
import { checkKeys, type KeyRule, ruleTensor, type TensorSource, theirShapes } from './key-rules.js';
import type { Leftovers } from './leftover.js';

/** One dtype for every floating-point weight, or `int8` for the large matrices with bf16 around them. */
export type WeightFormat = DType | 'int8';

/** A format as it is asked for; `auto` is f32 on a CPU up to `F32_PARAMETERS`, else what is stored. */
export type WantedFormat = WeightFormat | 'int4' | 'auto';

/** Largest model that `auto` widens to f32: its weights take 8 GB then. */
export const F32_PARAMETERS = 2e9;

/** Whether a matrix of that key is quantised: the blocks of the vision towers, and the language model with its head. */
export const isQuantisedLayer = (key: string): boolean => /^language_model\.|\.vit\.blocks\./.test(key);

/** A model without memory, with 8-bit layers where the config says that the weights are stored so. */
export function buildComm(config: CommConfig): Comm {
  const model = nn.onMeta(() => new Comm(config));
  if (config.quantization !== undefined) quantiseLayers(model);
  return model;
}

/** Puts empty 8-bit layers in the place of the large linear ones. */
function quantiseLayers(model: Comm): void {
  model.replaceModules((module, key) =>
    module instanceof nn.Linear && isQuantisedLayer(key) ? nn.Int8Linear.like(module) : module,
  );
}

/** Keys of the matrices that are quantised, in a model that has float layers. */
export function quantisedKeys(model: Comm): Set<string> {
  const layers = [...model.namedModules()].filter(
    ([key, layer]) => layer instanceof nn.Linear && isQuantisedLayer(key),
  );
  return new Set(layers.map(([key]) => `${key}.weight`));
}

/** Key of the scales that belong to a quantised matrix. */
export const scaleKey = (weightKey: string): string => weightKey.replace(/weight$/, 'scale');

/** A matrix in 8 bits with its scales; throws a CommError that names it where it is not finite. */
export function quantiseWeight(source: Pick<TensorSource, 'name'>, key: string, weight: Tensor): [Tensor, Tensor] {
  try {
    const { weight: quantised, scale } = nn.quantizeRows(weight);
    return [quantised, scale];
  } catch (error) {
    if (!(error instanceof TorchError) || !error.message.includes('infinite')) throw error;
    throw new CommError(`The tensor '${key}' in ${source.name} holds NaN or infinite values.`, {
      code: 'weights/not-finite',
      fix: 'The file is damaged or the training diverged: use another checkpoint.',
      cause: error,
    });
  }
}

/** How a model is filled. */
export interface FillOptions {
  readonly format?: WantedFormat | undefined;
  readonly device?: Device | undefined;
  /** Reads every weight to refuse NaN and infinity. */
  readonly checkFinite: boolean;
  /** Told after each weight. */
  readonly onWeight?: ((done: number, total: number) => void) | undefined;
}

/** Where the weights of a model lie. */
export interface FillSource {
  readonly source: TensorSource;
  readonly rules: readonly KeyRule[];
  readonly leftovers?: Leftovers;
}

/**
 * Fills a model of {@link buildComm}; missing, unexpected, misshaped tensors stop it with a CommError. What is in the right
 * format stays mapped. Gradients are off afterwards.
 */
export function fillModel(model: Comm, { source, rules, leftovers }: FillSource, options: FillOptions): void {
  const state = model.stateDict();
  const shapes = new Map([...state].map(([key, { shape }]) => [key, shape] as const));
  checkKeys(source, theirShapes(rules, state), leftovers);
  checkStored(source, rules, state);
  const dtype = formatOf(model, options);
  const quantised =
    dtype === 'int8' && model.config.quantization === undefined ? quantisedKeys(model) : new Set<string>();
  if (quantised.size > 0) quantiseLayers(model);
  const target = dtype === 'int8' ? 'bf16' : dtype;
  scope(() => {
    const weights = new Map<string, Tensor>();
    for (const rule of rules) {
      const key = rule.ours;
      const made = scope(() => {
        const stored = ruleTensor(source, rule, shapes.get(key)!);
        if (quantised.has(key)) return quantiseWeight(source, key, stored);
        if (options.checkFinite) checkFinite(source, new Map([[key, stored]]));
        return target === undefined || !isFloating(stored.dtype) ? [stored] : [stored.to(target)];
      });
      const [weight, scale] = made as [Tensor, Tensor?];
      weights.set(key, options.device === undefined ? weight : weight.to(options.device));
      if (scale !== undefined)
        weights.set(scaleKey(key), options.device === undefined ? scale : scale.to(options.device));
      // What was converted or joined is in memory of its own now; what was not stays mapped.
      if (weight.dtype !== source.info(rule.theirs[0]!).dtype || rule.theirs.length > 1) forgetRule(source, rule);
      options.onWeight?.(weights.size, rules.length + quantised.size);
    }
    model.loadStateDict(weights, { assign: true });
    if (target !== undefined) model.to({ dtype: target });
    if (options.device !== undefined) model.to({ device: options.device });
  });
  model.requiresGrad_(false).eval();
}

/** Throws a CommError where 8 bits lie in the place of floats, or floats in that of 8 bits. */
function checkStored(source: TensorSource, rules: readonly KeyRule[], state: ReadonlyMap<string, Tensor>): void {
  for (const { ours, theirs } of rules) {
    const isInt8 = state.get(ours)!.dtype === 'i8';
    const wrong = theirs.find((key) => (source.info(key).dtype === 'i8') !== isInt8);
    if (wrong === undefined) continue;
    const { dtype } = source.info(wrong);
    throw new CommError(
      `The tensor '${wrong}' in ${source.name} is stored as ${dtype}, which its config.json does not say.`,
      {
        code: 'weights/dtype',
        fix: 'Check that config.json and the weights belong to the same model.',
      },
    );
  }
}

/** Lets go of the pages of what a rule has read; a weight that stays mapped is read again when it is first used. */
export function forgetRule(source: TensorSource, { theirs }: KeyRule): void {
  scope(() => {
    for (const name of theirs) io.forgetPages(source.tensor(name));
  });
}

/** Throws a CommError for a format that cannot be run, or that weights stored in 8 bits cannot become. */
export function refuseFormat({ quantization }: CommConfig, format: WantedFormat): void {
  if (format === 'int4') {
    throw new CommError('Weights of 4 bits (int4) cannot be made or run yet.', {
      code: 'weights/format',
      fix: 'Use --dtype int8, which takes about half the memory of bf16.',
      exitCode: 2,
    });
  }
  if (quantization === undefined || format === 'auto' || format === 'int8') return;
  throw new CommError(`The weights of this model are stored in int8, which ${format} would not make more exact.`, {
    code: 'weights/format',
    fix: 'Leave --dtype out, or use the model that it was made from.',
    exitCode: 2,
  });
}

/** The format to fill with; undefined leaves every weight as it is stored. */
function formatOf(model: Comm, { format, device = 'cpu' }: FillOptions): WeightFormat | undefined {
  const { quantization } = model.config;
  if (format !== undefined) refuseFormat(model.config, format);
  if (quantization !== undefined) return 'int8';
  if (format !== 'auto') return format as WeightFormat | undefined;
  return device === 'cpu' && model.numParameters() <= F32_PARAMETERS ? 'f32' : undefined;
}
