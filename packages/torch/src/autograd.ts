/** Gradients: switching recording on and off, and asking for derivatives. There are no callbacks into JavaScript. */
import { TorchError } from './errors.js';
import { newHandle } from './handle.js';
import { native } from './native.js';
import { track } from './scope.js';
import type { Tensor } from './tensor.js';

function withMode<R>(on: boolean, fn: () => R): R {
  const before = native().setGradEnabled(on);
  try {
    const result = fn();
    if (typeof (result as { then?: unknown } | null | undefined)?.then === 'function') {
      throw new TypeError('noGrad() and withGrad() take a synchronous function');
    }
    return result;
  } finally {
    native().setGradEnabled(before);
  }
}

/** Run `fn` without recording for gradients. */
export function noGrad<R>(fn: () => R): R {
  return withMode(false, fn);
}

/** Run `fn` with recording, also inside `noGrad` (recompute of activations). */
export function withGrad<R>(fn: () => R): R {
  return withMode(true, fn);
}

/** Whether operators record for gradients now. */
export function isGradEnabled(): boolean {
  return native().isGradEnabled();
}

function guarded<R>(fn: () => R, name: string): R {
  try {
    return fn();
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code?.startsWith('ERR_TORCH'))
      throw new TorchError(`${name}: ${(error as Error).message}`, code, { cause: error });
    throw error;
  }
}

/** Add the gradients of `tensors` (weighted by `grads`; scalars need none) to the `grad` of the leaves they came from. */
export function backward(
  tensors: readonly Tensor[],
  grads: readonly (Tensor | null)[] | null = null,
  options: { readonly retainGraph?: boolean } = {},
): void {
  guarded(
    () =>
      native().backward(
        tensors.map((t) => t.id),
        grads === null ? null : grads.map((g) => g?.id ?? null),
        options.retainGraph ?? false,
      ),
    'backward',
  );
}

/** Gradients of the outputs with respect to `inputs`, without touching any `grad`; null where an input has no part. */
export function grad(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  gradOutputs: readonly (Tensor | null)[] | null = null,
  options: { readonly retainGraph?: boolean; readonly createGraph?: boolean } = {},
): (Tensor | null)[] {
  const ids = guarded(
    () =>
      native().gradients(
        outputs.map((t) => t.id),
        inputs.map((t) => t.id),
        gradOutputs === null ? null : gradOutputs.map((g) => g?.id ?? null),
        options.retainGraph ?? options.createGraph ?? false,
        options.createGraph ?? false,
      ),
    'grad',
  );
  return ids.map((id) => (id === null ? null : (track(newHandle(id)) as Tensor)));
}
