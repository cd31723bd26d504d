/** AdamW (Loshchilov and Hutter, 1711.05101) through libtorch's fused kernel. */
import { noGrad } from '../autograd.js';
import { op } from '../ops.js';
import { keep, scope } from '../scope.js';
import { type Tensor, zeros } from '../tensor.js';
import { groupBy } from './group-by.js';

const fusedAdamWOp = op('aten::_fused_adamw_');
const addAllOp = op('aten::_foreach_add_.Scalar');
const copyAllOp = op('aten::_foreach_copy_');
const zerosLikeOp = op('aten::zeros_like');

/** Most gradient elements that are held in f32 at once when master weights are used. */
const BUCKET_ELEMENTS = 2 ** 24;

/** Hyperparameters; a parameter group may have its own. */
export interface AdamWHyperparameters {
  /** Learning rate. */
  lr: number;
  /** Decay rates of the averages of the gradient and of its square. */
  betas: readonly [number, number];
  eps: number;
  /** Decoupled weight decay: each step takes `lr * weightDecay` of the weight. */
  weightDecay: number;
}

/** Parameters that share hyperparameters. Those of a Map keep its names in the state dict, others get their position. */
export type AdamWGroup = { params: Iterable<Tensor> | ReadonlyMap<string, Tensor> } & Partial<AdamWHyperparameters>;

/** Options of {@link AdamW}: defaults of all groups. */
export interface AdamWOptions extends Partial<AdamWHyperparameters> {
  /** Keep an f32 copy of each bf16 or f16 parameter and step on that; without, small updates are rounded away. */
  masterWeights?: boolean;
}

/** A group as it is used: hyperparameters may be changed between steps. */
export interface ResolvedGroup extends AdamWHyperparameters {
  readonly names: readonly string[];
}

interface Slot {
  readonly name: string;
  readonly parameter: Tensor;
  readonly group: ResolvedGroup;
  /** Made at the first step that finds a gradient. */
  state: SlotState | null;
}

interface SlotState {
  /** Number of steps taken, `f32[]`. */
  step: Tensor;
  expAvg: Tensor;
  expAvgSq: Tensor;
  /** The f32 copy that is stepped on, where the parameter is narrower. */
  master: Tensor | null;
}

/** State-dict suffixes, the names that PyTorch uses. */
const STATE_KEYS = { step: 'step', expAvg: 'exp_avg', expAvgSq: 'exp_avg_sq', master: 'master' } as const;

/**
 * AdamW over parameter groups. Its state is outside every scope; free it with `dispose()`.
 *
 * The defaults are PyTorch's: lr 1e-3, betas (0.9, 0.999), eps 1e-8, weight decay 0.01.
 */
export class AdamW {
  readonly groups: readonly ResolvedGroup[];
  readonly #slots: readonly Slot[];
  readonly #masterWeights: boolean;

  constructor(
    groups: Iterable<Tensor> | ReadonlyMap<string, Tensor> | readonly AdamWGroup[],
    { masterWeights = false, ...defaults }: AdamWOptions = {},
  ) {
    this.#masterWeights = masterWeights;
    const slots: Slot[] = [];
    this.groups = asGroups(groups).map(({ params, ...own }) => {
      const named = nameParameters(params, slots.length);
      const group = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01, ...defaults, ...own } as const;
      const resolved: ResolvedGroup = { ...group, names: named.map(([name]) => name) };
      checkHyperparameters(resolved);
      slots.push(...named.map(([name, parameter]) => ({ name, parameter, group: resolved, state: null })));
      return resolved;
    });
    checkSlots(slots);
    this.#slots = slots;
  }

  /**
   * Takes one step along the gradients; parameters without one are passed over. `lrFactor` multiplies every group's
   * learning rate, for a schedule: `optimizer.step(schedule(step))`.
   */
  step(lrFactor = 1): void {
    scope(() =>
      noGrad(() => {
        const ready = this.#slots.flatMap((slot) => {
          const { grad } = slot.parameter;
          return grad === null ? [] : [{ slot, grad, state: this.#stateOf(slot) }];
        });
        const batches = groupBy(ready, ({ slot, state }) => batchKey(slot, state, this.groups));
        for (const batch of batches.values()) {
          for (const bucket of inBuckets(batch)) scope(() => stepBucket(bucket, lrFactor));
        }
      }),
    );
  }

  /** Drops the gradients of all parameters. */
  zeroGrad(): void {
    for (const { parameter } of this.#slots) parameter.grad = null;
  }

  /**
   * The state itself (no copies) by `<parameter>.step | exp_avg | exp_avg_sq | master`. Hyperparameters are not in it:
   * they belong to the run's configuration.
   */
  stateDict(): Map<string, Tensor> {
    const dict = new Map<string, Tensor>();
    for (const { name, state } of this.#slots) {
      if (state === null) continue;
      for (const [field, suffix] of Object.entries(STATE_KEYS)) {
        const tensor = state[field as keyof SlotState];
        if (tensor !== null) dict.set(`${name}.${suffix}`, tensor);
      }
    }
    return dict;
  }

  /**
   * Takes over copies of the given state; the next step then gives the same bits as in the run that saved it.
   * @throws TypeError where a name or a shape does not belong to this optimiser's parameters.
   */
  loadStateDict(dict: ReadonlyMap<string, Tensor>): void {
    const known = new Set(this.#slots.flatMap(({ name }) => Object.values(STATE_KEYS).map((key) => `${name}.${key}`)));
    for (const key of dict.keys()) {
      if (!known.has(key)) throw new TypeError(`AdamW: "${key}" belongs to none of the optimiser's parameters`);
    }
    noGrad(() => {
      for (const slot of this.#slots) {
        const has = Object.values(STATE_KEYS).some((key) => dict.has(`${slot.name}.${key}`));
        if (has) scope(() => this.#restore(slot, dict));
        else this.#dropState(slot);
      }
    });
  }

  /** Frees the state; the parameters stay. */
  dispose(): void {
    for (const slot of this.#slots) this.#dropState(slot);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #stateOf(slot: Slot): SlotState {
    slot.state ??= this.#newState(slot.parameter);
    return slot.state;
  }

  #newState(parameter: Tensor): SlotState {
    const narrow = parameter.dtype === 'bf16' || parameter.dtype === 'f16';
    const master = this.#masterWeights && narrow ? keep(parameter.detach().to('f32')) : null;
    const like = master ?? parameter;
    return {
      step: keep(zeros([], { dtype: 'f32', device: parameter.device })),
      expAvg: keep(zerosLikeOp(like)),
      expAvgSq: keep(zerosLikeOp(like)),
      master,
    };
  }

  #restore(slot: Slot, dict: ReadonlyMap<string, Tensor>): void {
    const state = this.#stateOf(slot);
    for (const [field, suffix] of Object.entries(STATE_KEYS)) {
      const own = state[field as keyof SlotState];
      const key = `${slot.name}.${suffix}`;
      const saved = dict.get(key);
      if (own === null && saved === undefined) continue;
      if (own === null)
        throw new TypeError(`AdamW: the state has "${key}", but this optimiser keeps no master weights`);
      if (saved === undefined) throw new TypeError(`AdamW: the state lacks "${key}"`);
      if (own.dtype !== saved.dtype || own.shape.join() !== saved.shape.join()) {
        const describe = ({ dtype, shape }: Tensor) => `${dtype}[${shape.join(', ')}]`;
        throw new TypeError(`AdamW: "${key}" is ${describe(saved)}, wanted ${describe(own)}`);
      }
      own.copy_(saved);
    }
  }

  #dropState(slot: Slot): void {
    if (slot.state === null) return;
    for (const tensor of Object.values(slot.state)) (tensor as Tensor | null)?.dispose();
    slot.state = null;
  }
}

interface Ready {
  slot: Slot;
  grad: Tensor;
  state: SlotState;
}

/** The fused kernel takes tensors of one group, dtype and device at a time; master weights are stepped apart. */
function batchKey({ parameter, group }: Slot, { master }: SlotState, groups: readonly ResolvedGroup[]): string {
  return [groups.indexOf(group), parameter.dtype, parameter.device, master !== null].join(' ');
}

/** Splits a batch so that the f32 copies of its gradients stay small; without master weights there are none. */
function inBuckets(batch: readonly Ready[]): Ready[][] {
  if (batch[0]?.state.master === null) return [[...batch]];
  const buckets: Ready[][] = [];
  let room = 0;
  for (const item of batch) {
    if (buckets.length === 0 || item.grad.numel > room) {
      buckets.push([]);
      room = BUCKET_ELEMENTS;
    }
    buckets.at(-1)?.push(item);
    room -= item.grad.numel;
  }
  return buckets;
}

function stepBucket(bucket: readonly Ready[], lrFactor: number): void {
  const { lr, betas, eps, weightDecay } = bucket[0]!.slot.group;
  const steps = bucket.map(({ state }) => state.step);
  const parameters = bucket.map(({ slot }) => slot.parameter);
  const targets = bucket.map(({ slot, state }) => state.master ?? slot.parameter);
  const grads = bucket.map(({ grad, state }) => (state.master === null ? grad : grad.to('f32')));
  const expAvgs = bucket.map(({ state }) => state.expAvg);
  const expAvgSqs = bucket.map(({ state }) => state.expAvgSq);
  addAllOp(steps, 1);
  const rate = lr * lrFactor;
  fusedAdamWOp(targets, grads, expAvgs, expAvgSqs, [], steps, rate, betas[0], betas[1], weightDecay, eps, false, false);
  if (targets[0] !== parameters[0]) copyAllOp(parameters, targets);
}

function asGroups(
  groups: Iterable<Tensor> | ReadonlyMap<string, Tensor> | readonly AdamWGroup[],
): readonly AdamWGroup[] {
  if (groups instanceof Map) return [{ params: groups as ReadonlyMap<string, Tensor> }];
  const list = [...(groups as Iterable<Tensor | AdamWGroup>)];
  const isGroup = (item: Tensor | AdamWGroup): item is AdamWGroup => 'params' in item;
  return list.every(isGroup) ? list : [{ params: list as Tensor[] }];
}

function nameParameters(params: AdamWGroup['params'], first: number): [string, Tensor][] {
  if (params instanceof Map) return [...(params as ReadonlyMap<string, Tensor>)];
  return [...(params as Iterable<Tensor>)].map((parameter, i) => [String(first + i), parameter]);
}

function checkHyperparameters({ lr, betas, eps, weightDecay }: AdamWHyperparameters): void {
  if (!(lr >= 0)) throw new RangeError(`AdamW: lr ${lr} is not at least 0`);
  if (!betas.every((beta) => beta >= 0 && beta < 1)) throw new RangeError(`AdamW: betas ${betas} are not in [0, 1)`);
  if (!(eps >= 0)) throw new RangeError(`AdamW: eps ${eps} is not at least 0`);
  if (!(weightDecay >= 0)) throw new RangeError(`AdamW: weightDecay ${weightDecay} is not at least 0`);
}

function checkSlots(slots: readonly Slot[]): void {
  if (slots.length === 0) throw new TypeError('AdamW: there are no parameters');
  if (new Set(slots.map(({ parameter }) => parameter)).size < slots.length) {
    throw new TypeError('AdamW: a parameter is in two groups or twice in one');
  }
  if (new Set(slots.map(({ name }) => name)).size < slots.length) {
    throw new TypeError('AdamW: two parameters have one name');
  }
}
