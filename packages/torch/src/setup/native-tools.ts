/** The plain scripts of `native/`, which the clone uses before anything is compiled, with their types. */
import type { Libtorch } from './place.js';

/** What `native/build.mjs` offers. */
export interface BuildTools {
  readonly describeLibtorch: (path: string) => Libtorch;
  readonly findCompiler: () => { readonly version: string };
  readonly plan: (
    libtorchPath: string,
    outDir?: string,
  ) => { readonly hash: string; readonly objects: readonly unknown[] };
  readonly buildAddon: (options: {
    libtorchPath: string;
    outDir?: string;
    report?: (text: string) => void;
    signal?: AbortSignal | undefined;
  }) => Promise<{ readonly built: boolean; readonly addon: string }>;
  readonly writeJson: (path: string, value: unknown) => void;
}

/** What a running step gets. */
export interface StepContext {
  /** Hears what the step is at. */
  readonly report: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A step of the set-up. */
export interface Step {
  readonly name: string;
  /** What changes when the step has something to do. */
  readonly stamp: () => unknown;
  /** Does it, and resolves to one line for people. */
  readonly run: (context: StepContext) => Promise<string>;
}

/** What became of a step; `done` is false for one that was up to date. */
export interface StepOutcome {
  readonly name: string;
  readonly done: boolean;
  readonly detail: string;
  readonly seconds: number;
}

/** What `native/steps.mjs` offers. */
export interface StepTools {
  readonly runSteps: (options: {
    steps: readonly Step[];
    stampsFile: string;
    lockFile: string;
    log: (line: string) => void;
    quiet?: boolean | undefined;
    signal?: AbortSignal | undefined;
  }) => Promise<StepOutcome[]>;
  readonly isAlive: (pid: number) => boolean;
}

const native = (name: string): string => new URL(`../../native/${name}`, import.meta.url).href;

/** The build of the addon. */
export async function addonTools(): Promise<BuildTools> {
  return (await import(native('build.mjs'))) as BuildTools;
}

/** The runner of steps. */
export async function stepTools(): Promise<StepTools> {
  return (await import(native('steps.mjs'))) as StepTools;
}
