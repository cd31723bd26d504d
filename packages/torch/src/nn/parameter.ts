/** Tensors that belong to a module: parameters and buffers. They outlive scopes; their module disposes them. */
import { isFloating, type Shape } from '../dtype.js';
import { disposeHandle, keep, scope, track } from '../scope.js';
import { empty, Tensor } from '../tensor.js';
import { factoryOptions, type Placement, placed } from './placement.js';

/**
 * A leaf tensor that asks for a gradient and is exempt from scopes. It shares the memory of `data`, whose own handle
 * stays what it was. Inside `onMeta` it takes shape and dtype only.
 */
export class Parameter extends Tensor {
  constructor(data: Tensor, { requiresGrad = true }: { requiresGrad?: boolean } = {}) {
    super(newReference(() => placed(data)));
    own(this);
    if (requiresGrad) this.requiresGrad = true;
  }
}

/**
 * A tensor without gradient that belongs to a module and is exempt from scopes, such as running statistics. One that is
 * not `persistent` (a table that follows from the configuration) is left out of state dicts and stays real in `onMeta`.
 */
export class Buffer extends Tensor {
  readonly persistent: boolean;

  constructor(data: Tensor, { persistent = true }: { persistent?: boolean } = {}) {
    super(newReference(() => (persistent ? placed(data) : data)));
    own(this);
    this.persistent = persistent;
  }
}

/**
 * Makes `target` refer to the memory of `data`, whatever its dtype and device, and drops what it referred to with its
 * gradient. The object stays the same, so tied modules and optimisers follow. @internal
 */
export function adopt(target: Parameter | Buffer, data: Tensor): void {
  if (target === data) return;
  const id = newReference(() => data);
  const { requiresGrad } = target;
  disposeHandle(target);
  target.id = id;
  target.invalidate();
  own(target);
  if (requiresGrad && isFloating(target.dtype)) target.requiresGrad = true;
}

/** A second reference to a tensor's memory, outside autograd and in nobody's hands yet. */
function newReference(data: () => Tensor): number {
  return scope(() => {
    const fresh = data().detach();
    const { id } = fresh;
    // The scope must not drop what the caller takes over.
    fresh.id = 0;
    return id;
  });
}

/** Registers the handle as one that only its owner drops. */
function own(handle: Tensor): void {
  scope(() => {
    keep(track(handle));
  });
}

/** A new parameter of that shape, filled by `init`; without memory inside `onMeta`. @internal */
export function newParameter(shape: Shape, placement: Placement, init: (tensor: Tensor) => Tensor): Parameter {
  return scope(() => new Parameter(init(empty(shape, factoryOptions(placement)))));
}

/** A new persistent buffer of that shape, filled by `init`; without memory inside `onMeta`. @internal */
export function newBuffer(shape: Shape, placement: Placement, init: (tensor: Tensor) => Tensor): Buffer {
  return scope(() => new Buffer(init(empty(shape, factoryOptions(placement)))));
}
