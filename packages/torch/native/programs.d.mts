/** Types of `programs.mjs`. */

/** A failed step: what went wrong in one sentence, and what to do about it. */
export declare class SetupError extends Error {
  override readonly name: 'SetupError';
  readonly fix: string;
  readonly exitCode: number;
  constructor(message: string, fix: string, exitCode?: number);
}

/** The error of an interrupted set-up. */
export declare function interrupted(): SetupError;

/** The first line that a program prints, or undefined when it cannot be run. */
export declare function firstLine(
  program: string,
  args: readonly string[],
  settings?: { readonly shell?: boolean },
): string | undefined;

/** How a program runs; without `capture` the user sees what it prints, on stderr. */
export interface RunSettings {
  readonly capture?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly cwd?: string | undefined;
  readonly shell?: boolean | undefined;
}

/**
 * Runs a program to its end. An interrupt reaches it, and the promise settles only after it has gone, so that the step can
 * clear away what it left.
 */
export declare function runProgram(
  program: string,
  args: readonly string[],
  settings?: RunSettings,
): Promise<{ code: number | null; output: string }>;
