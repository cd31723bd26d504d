/**
 * A head that config.json ties to the embedding of the tokens. As transformers reads it, the two are tied where the files
 * hold one of them, or both with the same numbers; where the numbers differ each is used, whatever config.json says.
 */
import { noGrad, op, scope } from '@commlm/torch';
import type { KeyRule, TensorSource } from '../key-rules.js';
import type { Leftovers } from '../leftover.js';

const equalOp = op('aten::equal');

/** Where a language model that ties its head has the two tensors; `head.ours` exists only once it is untied. */
export interface TiedHead {
  readonly table: KeyRule;
  readonly head: KeyRule;
}

/** Rules of a model whose config ties the head. */
export interface TiedRules {
  readonly rules: readonly KeyRule[];
  readonly leftovers: Leftovers;
}

/** Whether two stored tensors hold the same numbers; those of another dtype are compared in f32. */
export const holdsSame = (a: TensorSource, keyA: string, b: TensorSource, keyB: string): boolean =>
  a.info(keyA).shape.join() === b.info(keyB).shape.join() &&
  noGrad(() =>
    scope(() => {
      const [x, y] = [a.tensor(keyA), b.tensor(keyB)];
      return x.dtype === y.dtype ? equalOp(x, y) : equalOp(x.to('f32'), y.to('f32'));
    }),
  );

/** Names of table and head in a source. */
export const keysOf = ({ table, head }: TiedHead): [table: string, head: string] => [table.theirs[0]!, head.theirs[0]!];

/** Whether a source has both, each with its own numbers. */
export function isUntied(source: TensorSource, tied: TiedHead): boolean {
  const [table, head] = keysOf(tied);
  const keys = new Set(source.keys);
  return keys.has(table) && keys.has(head) && !holdsSame(source, table, source, head);
}

/** The rules as the stored tensors ask for them, and whether the head stays tied. Reads the two tensors where both are there. */
export function settleHead(
  source: TensorSource,
  tied: TiedHead,
  { rules, leftovers }: TiedRules,
): TiedRules & { readonly isTied: boolean } {
  const [table, head] = keysOf(tied);
  const keys = new Set(source.keys);
  if (!keys.has(head)) return { rules, leftovers, isTied: true };
  if (!keys.has(table)) {
    // Of two tensors that share their memory a file may keep either.
    const under = rules.map((rule) => (rule.ours === tied.table.ours ? { ...rule, theirs: [head] } : rule));
    return { rules: under, leftovers, isTied: true };
  }
  if (isUntied(source, tied)) return { rules: [...rules, tied.head], leftovers, isTied: false };
  return { rules, leftovers: (key) => (key === head ? 'not run' : leftovers(key)), isTied: true };
}

/** A source in which the one of the two that is missing has the numbers of the other. */
export function withBoth(source: TensorSource, tied: TiedHead): TensorSource {
  const [table, head] = keysOf(tied);
  const keys = new Set(source.keys);
  if (keys.has(table) === keys.has(head)) return source;
  const [missing, other] = keys.has(table) ? [head, table] : [table, head];
  const stored = (key: string): string => (key === missing ? other : key);
  return {
    name: source.name,
    keys: [...keys, missing],
    info: (key) => source.info(stored(key)),
    tensor: (key) => source.tensor(stored(key)),
  };
}
