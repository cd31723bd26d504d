/**
 * Filling a model tensor by tensor, in any format of the table (formats.ts): one mapped weight is read, converted or quantised,
 * and its pages leave the resident memory before the next one, so that a model never takes more than its own size.
 */
import { type Device, io, isFloating, nn, scope, type Tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { WeightFormat } from '../config/formats.js';
import type { CommConfig } from '../config/model.js';
import { Comm } from '../models/comm.js';
import { checkFinite } from './files/finite.js';
import {
  type Encoding,
  encodingOf,
  FORMATS,
  partKey,
  quantiseWeight,
  refuseFormat,
  storedFormat,
  type WantedFormat,
} from './formats.js';
import { checkKeys, type KeyRule, ruleTensor, type TensorSource, theirShapes } from './key-rules.js';
import type { Leftovers } from './leftover.js';

/** Largest model that `auto` widens to f32: its weights take 8 GB then. */
export const F32_PARAMETERS = 2e9;

/** A model without memory, with the layers of the format that the config says its weights are stored in. */
export function buildComm(config: CommConfig): Comm {
  const model = Comm.outline(config);
  const encoding = encodingOf(storedFormat(config));
  if (encoding !== null) encodeLayers(model, encoding);
  return model;
}

/** Puts empty layers of an encoding in the place of the large linear ones. */
function encodeLayers(model: Comm, { layer, matches }: Encoding): void {
  model.replaceModules((module, key) => (module instanceof nn.Linear && matches(key) ? layer(module) : module));
}

/** Keys of the matrices that an encoding takes, in a model that has float layers. */
export function encodedKeys(model: Comm, { matches }: Encoding): Set<string> {
  const layers = [...model.namedModules()].filter(([key, layer]) => layer instanceof nn.Linear && matches(key));
  return new Set(layers.map(([key]) => `${key}.weight`));
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
  const format = formatOf(model, options);
  // What is stored in few bits is taken as it is.
  const encoding = storedFormat(model.config) === undefined ? encodingOf(format) : null;
  const encoded = encoding === null ? new Set<string>() : encodedKeys(model, encoding);
  if (encoding !== null) encodeLayers(model, encoding);
  const target = format === undefined ? undefined : FORMATS[format].floats;
  const numParts = rules.length + encoded.size * ((encoding?.parts.length ?? 1) - 1);
  scope(() => {
    const weights = new Map<string, Tensor>();
    for (const rule of rules) {
      const key = rule.ours;
      const made = scope((): Tensor[] => {
        const stored = ruleTensor(source, rule, shapes.get(key)!);
        if (encoding !== null && encoded.has(key)) return quantiseWeight(encoding, source, key, stored);
        if (options.checkFinite) checkFinite(source, new Map([[key, stored]]));
        return target === undefined || !isFloating(stored.dtype) ? [stored] : [stored.to(target)];
      });
      for (const [i, part] of made.entries()) {
        const partOf = i === 0 ? key : partKey(key, encoding!.parts[i]!);
        weights.set(partOf, options.device === undefined ? part : part.to(options.device));
      }
      // What was converted or joined is in memory of its own now; what was not stays mapped.
      if (made[0]!.dtype !== source.info(rule.theirs[0]!).dtype || rule.theirs.length > 1) forgetRule(source, rule);
      options.onWeight?.(weights.size, numParts);
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

/** The format to fill with; undefined leaves every weight as it is stored. */
function formatOf(model: Comm, { format, device = 'cpu' }: FillOptions): WeightFormat | undefined {
  if (format !== undefined) refuseFormat(model.config, format);
  const stored = storedFormat(model.config);
  if (stored !== undefined) return stored;
  if (format !== 'auto') return format;
  return device === 'cpu' && model.numParameters() <= F32_PARAMETERS ? 'f32' : undefined;
}
