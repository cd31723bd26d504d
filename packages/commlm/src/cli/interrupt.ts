/**
 * Ctrl-C and SIGTERM: the first one asks the running command to stop cleanly, the second one ends the process; exit code 130 or 143.
 */
import { CommError } from '../config/errors.js';

/** Code of the error that an interrupted command ends with. */
export const INTERRUPTED = 'cli/interrupted';

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;
let controller: AbortController | undefined;

/**
 * The signal that Ctrl-C aborts. A command that takes it promises to stop soon, leave nothing half-written and throw;
 * a command that never asks for it is ended at once.
 */
export function interruptSignal(): AbortSignal {
  controller ??= new AbortController();
  return controller.signal;
}

/** What is said when Ctrl-C ends a command that takes no signal. */
let lastWords: string | undefined;

/** Says what a command that is ended at once has kept, and how to go on; for one that never takes the signal. */
export function whenInterrupted(line: string): void {
  lastWords = line;
}

function onSignal(name: keyof typeof EXIT_CODES): void {
  if (controller === undefined || controller.signal.aborted) {
    if (controller === undefined && lastWords !== undefined) process.stderr.write(`${lastWords}\n`);
    process.exit(EXIT_CODES[name]);
  }
  controller.abort(interruptedError(EXIT_CODES[name]));
}

/** Starts listening for SIGINT and SIGTERM; called once by the entry of the command line. */
export function listenForInterrupt(): void {
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
}

/**
 * Lets the system end the process at the first signal until disposed: while a thread computes without a pause, nobody
 * hears a signal. For work whose outputs appear whole or not at all; what it leaves aside, the next run removes.
 */
export function endAtOnce(): Disposable {
  process.off('SIGINT', onSignal);
  process.off('SIGTERM', onSignal);
  return { [Symbol.dispose]: listenForInterrupt };
}

/** The error that an interrupted command ends with: exit code 130 after Ctrl-C, 143 after SIGTERM. */
export function interruptedError(exitCode: 130 | 143 = EXIT_CODES.SIGINT): CommError {
  return new CommError('Interrupted.', { code: INTERRUPTED, exitCode });
}

/** The exit code of a command that stopped cleanly because of the signal. */
export function interruptExitCode(): 130 | 143 {
  const reason: unknown = interruptSignal().reason;
  return reason instanceof CommError && reason.exitCode === 143 ? 143 : EXIT_CODES.SIGINT;
}
