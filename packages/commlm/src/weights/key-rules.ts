/** Two-way strict renaming between a foreign checkpoint layout and ours; nothing is missing, left over or misshaped without a word. */
import { cat, type DType, noGrad, scope, type Tensor, zeros } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import { nearestName } from '../config/json.js';
import { quantisedBy, quantisedWeights } from './files/foreign-quantization.js';
import { type Leftovers, NO_LEFTOVERS } from './leftover.js';

/** One of our tensors and where it lies in the other layout. */
export interface KeyRule {
  readonly ours: string;
  /** One name, or several that are joined along their first axis. */
  readonly theirs: readonly string[];
  /** Shape of each foreign tensor where it differs from ours by a reshape (a convolution's kernel as a matrix). */
  readonly theirShape?: readonly number[];
  /** One of `theirs` that the layout never stores because it is zero (the key's bias of DINOv3 and EVA-02). */
  readonly zero?: string | undefined;
}

/** The same tensor under another name. */
export const same = (ours: string, theirs: string): KeyRule => ({ ours, theirs: [theirs] });

/** Several tensors joined along their first axis, e.g. q, k and v. */
export const joined = (ours: string, theirs: readonly string[]): KeyRule => ({ ours, theirs });

/** The same numbers in another shape. */
export const reshaped = (ours: string, theirs: string, theirShape: readonly number[]): KeyRule => ({
  ours,
  theirs: [theirs],
  theirShape,
});

/** Rules for `<ours>.weight`, and `<ours>.bias` where there is one. */
export const layer = (ours: string, theirs: string | readonly string[], bias = true): KeyRule[] =>
  (bias ? ['weight', 'bias'] : ['weight']).map((part) =>
    joined(
      `${ours}.${part}`,
      [theirs].flat().map((name) => `${name}.${part}`),
    ),
  );

/** The same rules for a model that lies under a prefix in a larger checkpoint. */
export const prefixed = (rules: readonly KeyRule[], prefix: string): KeyRule[] =>
  rules.map(({ theirs, zero, ...rule }) => ({
    ...rule,
    theirs: theirs.map((name) => prefix + name),
    zero: zero === undefined ? undefined : prefix + zero,
  }));

/** A source of named tensors that tells shapes without reading. */
export interface TensorSource {
  readonly name: string;
  readonly keys: readonly string[];
  info(key: string): { readonly dtype: DType; readonly shape: readonly number[] };
  tensor(key: string): Tensor;
}

const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** The first four names, each as `shown` has it; finding the nearest names of thousands would take minutes. */
const listed = (names: readonly string[], shown: (name: string) => string = (name) => name): string =>
  `${names.slice(0, 4).map(shown).join(', ')}${names.length <= 4 ? '' : ` and ${names.length - 4} more`}`;

/** What does not fit between wanted and stored tensors, as one CommError; nothing when all fits. */
export function checkKeys(
  source: TensorSource,
  wanted: ReadonlyMap<string, readonly number[]>,
  leftovers: Leftovers = NO_LEFTOVERS,
): void {
  const stored = new Set(source.keys);
  const missing = [...wanted.keys()].filter((key) => !stored.has(key));
  const beside = source.keys.filter((key) => !wanted.has(key));
  const unexpected = beside.filter((key) => leftovers(key) === undefined);
  const misshaped = [...wanted].flatMap(([key, shape]) => {
    const found = stored.has(key) ? source.info(key).shape : shape;
    return found.join() === shape.join() ? [] : [`${key} is ${shapeText(found)}, not ${shapeText(shape)}`];
  });
  const problems = [
    missing.length > 0 ? `lacks ${listed(missing)}` : '',
    unexpected.length > 0 ? `has unexpected ${listed(unexpected, (key) => withNearest(key, missing))}` : '',
    misshaped.length > 0 ? `has misshaped tensors: ${listed(misshaped)}` : '',
  ].filter((problem) => problem !== '');
  if (problems.length > 0) {
    const way = quantisedBy(source.keys);
    if (way !== undefined) throw quantisedWeights(source.name, way);
    throw new CommError(`${source.name} does not fit its config.json: it ${problems.join('; it ')}.`, {
      code: 'weights/keys',
      fix: 'Check that config.json and the weights belong to the same model.',
    });
  }
  checkTables(source, beside, leftovers);
}

/** Throws a CommError for a stored table that is not the one that is computed in its place. */
function checkTables(source: TensorSource, keys: readonly string[], leftovers: Leftovers): void {
  for (const key of keys) {
    const check = leftovers(key);
    if (typeof check !== 'function') continue;
    const problem = noGrad(() => scope(() => check(source.tensor(key))));
    if (problem === undefined) continue;
    throw new CommError(`${source.name} stores '${key}', which is computed here, but its values ${problem}.`, {
      code: 'weights/no-effect',
      fix: 'Check that config.json and the weights belong to the same model.',
    });
  }
}

function withNearest(key: string, candidates: readonly string[]): string {
  const nearest = nearestName(key, candidates);
  return nearest === undefined ? key : `${key} (nearest: ${nearest})`;
}

/** Shapes under the foreign names, derived from our shapes. */
export function theirShapes(
  rules: readonly KeyRule[],
  ours: ReadonlyMap<string, { readonly shape: readonly number[] }>,
): Map<string, readonly number[]> {
  return new Map(
    rules.flatMap(({ ours: key, theirs, theirShape, zero }) => {
      const { shape } = ours.get(key)!;
      const part = theirShape ?? partShape(shape, theirs.length);
      return theirs.filter((name) => name !== zero).map((name) => [name, part] as const);
    }),
  );
}

/** Shape of one of `count` equal parts along the first axis. */
const partShape = (shape: readonly number[], count: number): readonly number[] =>
  count === 1 ? shape : [shape[0]! / count, ...shape.slice(1)];

/** The stored parts of a joined tensor, and zeros for the one that is never stored. */
function parts(source: TensorSource, { theirs, zero }: KeyRule, shape: readonly number[]): Tensor[] {
  const stored = theirs.map((name) => (name === zero ? null : source.tensor(name)));
  const dtype = stored.find((part) => part !== null)!.dtype;
  return stored.map((part) => part ?? zeros([...partShape(shape, theirs.length)], { dtype }));
}

/** Foreign tensors under our names; joined ones are copied, all others stay mapped. `ours` gives our names and shapes. */
export function toOurs(
  source: TensorSource,
  rules: readonly KeyRule[],
  ours: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  leftovers?: Leftovers,
): Map<string, Tensor> {
  checkKeys(source, theirShapes(rules, ours), leftovers);
  return noGrad(
    () => new Map(rules.map((rule) => [rule.ours, ruleTensor(source, rule, ours.get(rule.ours)!.shape)] as const)),
  );
}

/** One of our tensors from a checked source: mapped, or a copy where several are joined. */
export const ruleTensor = (source: TensorSource, rule: KeyRule, shape: readonly number[]): Tensor =>
  noGrad(() =>
    scope(() => {
      const { theirs } = rule;
      const whole = theirs.length === 1 ? source.tensor(theirs[0]!) : cat(parts(source, rule, shape));
      return whole.reshape(...shape);
    }),
  );

/** Our tensors under the foreign names: views, nothing is copied. */
export function toTheirs(ours: ReadonlyMap<string, Tensor>, rules: readonly KeyRule[]): Map<string, Tensor> {
  return noGrad(
    () =>
      new Map(
        rules.flatMap(({ ours: key, theirs, theirShape, zero }) => {
          const tensor = ours.get(key)!.detach();
          const chunks = theirs.length === 1 ? [tensor] : tensor.chunk(theirs.length, 0);
          return theirs.flatMap((name, i) =>
            name === zero ? [] : [[name, theirShape ? chunks[i]!.reshape(...theirShape) : chunks[i]!] as const],
          );
        }),
      ),
  );
}

/** The tensors under a prefix, by the rest of their names. */
export function within(source: TensorSource, prefix: string): TensorSource {
  return {
    name: source.name,
    keys: source.keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)),
    info: (key) => source.info(prefix + key),
    tensor: (key) => source.tensor(prefix + key),
  };
}

/** The same source with `prefix` in front of every key made `to` (dropped), for layouts that nest the model under a name in some versions. */
export const withoutPrefix = (source: TensorSource, prefix: string, to = ''): TensorSource =>
  renamed(source, (key) => (key.startsWith(prefix) ? to + key.slice(prefix.length) : key));

/** The same source under other names; throws a CommError when two keys get the same one. */
export function renamed(source: TensorSource, rename: (key: string) => string): TensorSource {
  const original = new Map<string, string>();
  for (const key of source.keys) {
    const name = rename(key);
    const other = original.get(name);
    if (other !== undefined) {
      throw new CommError(`${source.name} has '${other}' and '${key}', which are the same tensor.`, {
        code: 'weights/duplicate',
        fix: 'Keep the files of one version of the model only.',
      });
    }
    original.set(name, key);
  }
  return {
    name: source.name,
    keys: [...original.keys()],
    info: (key) => source.info(original.get(key)!),
    tensor: (key) => source.tensor(original.get(key)!),
  };
}

/** The rules of a part, moved below a name on both sides. */
export const nested = (rules: readonly KeyRule[], ours: string, theirs: string): KeyRule[] =>
  prefixed(rules, theirs).map((rule) => ({ ...rule, ours: ours + rule.ours }));
