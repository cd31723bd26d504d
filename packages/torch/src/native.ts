/** Loads the addon on first use: importing this package must not cost the half second that libtorch takes. */
import { createRequire } from 'node:module';
import { TorchError } from './errors.js';
import { addonProblem, findAddon, setupCommand } from './setup/place.js';

/** What `resolve` tells about an operator. */
export interface OpSpec {
  readonly index: number;
  readonly schema: string;
  /** Kind of each argument: `Tensor`, `Tensor?`, `Tensor[]`, `int[]`, `Scalar` … */
  readonly args: readonly string[];
  readonly names: readonly string[];
  /** How many arguments have no default. */
  readonly required: number;
  /** Per return: the index of the argument that it is (in-place, out=), or -1. */
  readonly aliases: readonly number[];
  /** Kind of each return. */
  readonly returns: readonly string[];
}

/** The addon's entries (native/addon/). Tensors are ids here. @internal */
export interface Native {
  resolve(name: string): OpSpec;
  call(index: number, ...args: unknown[]): unknown;
  schemas(): string[];
  release(id: number): void;
  releaseMany(ids: number[]): void;
  shape(id: number): number[];
  dtype(id: number): string;
  device(id: number): string;
  facts(id: number): TensorFacts;
  fromBytes(data: ArrayBufferView, shape: readonly number[], dtype: string): number;
  toBytes(id: number): ArrayBuffer;
  requiresGrad(id: number): boolean;
  setRequiresGrad(id: number, on: boolean): void;
  grad(id: number): number | null;
  setGrad(id: number, grad: number | null): void;
  backward(tensors: number[], grads: (number | null)[] | null, retainGraph: boolean): void;
  gradients(
    outputs: number[],
    inputs: number[],
    gradOutputs: (number | null)[] | null,
    retainGraph: boolean,
    createGraph: boolean,
  ): (number | null)[];
  setGradEnabled(on: boolean): boolean;
  isGradEnabled(): boolean;
  manualSeed(seed: number | bigint): void;
  createGenerator(seed: number | bigint | null, device: string): number;
  releaseGenerator(generator: number): void;
  generatorState(generator: number): number;
  setGeneratorState(generator: number, state: number): void;
  setNumThreads(count: number): void;
  numThreads(): number;
  setDeterministic(on: boolean): void;
  reuseFreedMemory(): void;
  forgetPages(id: number): boolean;
  memoryStats(): { liveTensors: number; hostBytes: number };
  versionInfo(): VersionInfo;
  synchronize(device: number): void;
  emptyCache(): void;
  deviceMemory(device: number): { allocated: number; peak: number; reserved: number };
}

/** Layout facts of one tensor, for reports and tests. */
export interface TensorFacts {
  readonly contiguous: boolean;
  readonly requiresGrad: boolean;
  readonly leaf: boolean;
  readonly storageBytes: number;
  readonly storagePointer: number;
  readonly offset: number;
  readonly strides: readonly number[];
}

/** What the addon was compiled against and what this machine offers. */
export interface VersionInfo {
  readonly torch: string;
  readonly config: string;
  readonly parallel: string;
  readonly cpuCapability: string;
  readonly cudaDevices: number;
  readonly mps: boolean;
}

let loaded: Native | undefined;

/**
 * The addon, loaded on the first call: the one that the set-up made, or the file that COMMTORCH_ADDON names. Throws a
 * TorchError that says what to run when it is not there.
 * @internal
 */
export function native(): Native {
  if (loaded !== undefined) return loaded;
  const found = findAddon();
  const problem = addonProblem(found);
  if (problem !== undefined) {
    const message = `${problem.message.replace(/\.$/, '')}; run \`${setupCommand()}\`.`;
    throw new TorchError(message, 'ERR_TORCH_ADDON');
  }
  try {
    loaded = createRequire(import.meta.url)(found.file!) as Native;
  } catch (error) {
    throw new TorchError(
      `The libtorch addon cannot be loaded (${(error as Error).message.split('\n')[0]}); run \`${setupCommand()}\` to make it again.`,
      'ERR_TORCH_ADDON',
      { cause: error },
    );
  }
  return loaded;
}

/** Whether libtorch is loaded already in this thread. */
export function isLoaded(): boolean {
  return loaded !== undefined;
}

/** Versions and devices of the loaded libtorch. Loads it. */
export function versionInfo(): VersionInfo {
  return native().versionInfo();
}

/** Number of threads that one operator may use (OpenMP); shared by the whole process. */
export function numThreads(): number {
  return native().numThreads();
}

/** Set the number of threads that one operator may use. */
export function setNumThreads(count: number): void {
  native().setNumThreads(count);
}

/**
 * Keep large freed blocks for the next tensor instead of giving them back to the kernel (glibc; elsewhere nothing). For
 * loops that make the same tensors again and again: the process stays as large as its largest moment.
 */
export function reuseFreedMemory(): void {
  native().reuseFreedMemory();
}

/** Refuse operators that have no deterministic version. */
export function setDeterministic(on: boolean): void {
  native().setDeterministic(on);
}

/** All operator schemas that this libtorch has registered, as text. */
export function listSchemas(): string[] {
  return native().schemas();
}
