/** What of a task trains: by name, by part for people, and in groups for the optimiser. */
import type { nn, optim } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import { nearestName } from '../../config/json.js';
import { PARTS, withoutIndex } from '../../config/parts.js';

/** The trained parameters of the parts by `<part>.<name>`. */
export function trainedParameters(parts: ReadonlyMap<string, nn.Module>): Map<string, nn.Parameter> {
  const all = new Map<string, nn.Parameter>();
  for (const [part, module] of parts) {
    for (const [key, parameter] of module.namedParameters()) {
      if (parameter.requiresGrad) all.set(`${part}.${key}`, parameter);
    }
  }
  return all;
}

/** How many parameters of a part train, and how many are in it. */
export interface PartCount {
  readonly name: string;
  readonly trained: number;
  readonly total: number;
}

/** Below this depth a part that trains in part is one line, as one with adapters in every layer. */
const MAX_DEPTH = 2;

/** Parts with their counts; one of which only something trains is listed by its own parts. */
export function countParts(parts: ReadonlyMap<string, nn.Module>): PartCount[] {
  return [...parts].flatMap(([name, module]) => countPart(name, module, MAX_DEPTH));
}

function countPart(name: string, module: nn.Module, depth: number): PartCount[] {
  const trained = module.numParameters({ trainableOnly: true });
  const total = module.numParameters();
  const children = [...module.namedChildren()];
  if (trained === 0 || trained === total || depth === 0 || children.length === 0) {
    return total === 0 ? [] : [{ name, trained, total }];
  }
  const below = children.flatMap(([key, child]) => countPart(`${name}.${key}`, child, depth - 1));
  const rest = {
    name: `${name} itself`,
    trained: trained - below.reduce((sum, part) => sum + part.trained, 0),
    total: total - below.reduce((sum, part) => sum + part.total, 0),
  };
  return rest.total > 0 ? [...below, rest] : below;
}

/**
 * Groups of AdamW: matrices are decayed; norms, biases, scales and tokens are not. Each factor of the rate makes groups of
 * its own. The optimiser's state keeps a parameter under `keyOf` its name.
 * A factor's name without the place of an encoder holds for all of them; one of a whole part that does not learn, or that
 * the model does not have, is nothing, as in `trains`.
 * @throws CommError for any other factor that no parameter takes.
 */
export function parameterGroups(
  parameters: ReadonlyMap<string, nn.Parameter>,
  {
    lr,
    weightDecay,
    lrFactors = {},
  }: { lr: number; weightDecay: number; lrFactors?: Record<string, number> | undefined },
  keyOf: (name: string) => string = (name) => name,
): optim.AdamWGroup[] {
  const prefixes = Object.keys(lrFactors).sort((a, b) => b.length - a.length);
  const groups = new Map<string, { params: Map<string, nn.Parameter>; weightDecay: number; lr: number }>();
  const used = new Set<string>();
  // Matrices first: the order of the groups is part of the state of a run.
  for (const decayed of [true, false]) {
    for (const [name, parameter] of parameters) {
      if (isMatrix(parameter) !== decayed) continue;
      const names = [name, withoutIndex(name)];
      const prefix = prefixes.find((candidate) => names.some((each) => `${each}.`.startsWith(`${candidate}.`)));
      if (prefix !== undefined) used.add(prefix);
      const key = `${decayed} ${prefix ?? ''}`;
      const factor = prefix === undefined ? 1 : lrFactors[prefix]!;
      const group = groups.get(key) ?? { params: new Map(), weightDecay: decayed ? weightDecay : 0, lr: lr * factor };
      groups.set(key, group);
      group.params.set(keyOf(name), parameter);
    }
  }
  const unused = prefixes.find((prefix) => !used.has(prefix) && !(PARTS as readonly string[]).includes(prefix));
  if (unused !== undefined) {
    const parts = [...new Set([...parameters.keys()].map((name) => name.split('.')[0] as string))];
    const near = nearestName(unused, parts);
    throw new CommError(`loop.lrFactors names "${unused}", but nothing of that name trains.`, {
      code: 'train/lr-factors',
      fix: near === undefined ? `What trains: ${parts.join(', ')}.` : `Did you mean "${near}"?`,
      exitCode: 2,
    });
  }
  return [...groups.values()];
}

const isMatrix = (parameter: nn.Parameter): boolean => parameter.shape.filter((size) => size > 1).length >= 2;
