/** @commlm/torch: libtorch for TypeScript. Importing it loads nothing native; the first tensor does. */
/// <reference lib="esnext.disposable" preserve="true" />
export * as autograd from './autograd.js';
export { isGradEnabled, noGrad, withGrad } from './autograd.js';
export * as cuda from './cuda.js';
export * from './dtype.js';
export { TorchError } from './errors.js';
export * as F from './functional.js';
export * as io from './io/index.js';
export {
  isLoaded,
  listSchemas,
  numThreads,
  reuseFreedMemory,
  setDeterministic,
  setNumThreads,
  type TensorFacts,
  type VersionInfo,
  versionInfo,
} from './native.js';
export * as nn from './nn/index.js';
export type { Ops } from './ops.gen.js';
export { type OpName, op, schemaOf, untypedOp } from './ops.js';
export * as optim from './optim/index.js';
export { Generator, generator, manualSeed, rngState, setRngState } from './random.js';
export { keep, type LiveTensor, liveTensors, memoryStats, scope, setStrictScopes, traceTensors } from './scope.js';
export * from './tensor.js';
