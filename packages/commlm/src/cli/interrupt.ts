// Ctrl-C: the first one asks the running command to stop cleanly, the second one ends the process; exit code 130.
import { CommError } from '../config/errors.js';

const EXIT_INTERRUPTED = 130;
let controller: AbortController | undefined;

/**
 * The signal that Ctrl-C aborts. A command that takes it promises to stop soon, leave nothing half-written and throw;
 * a command that never asks for it is ended at once.
 */
export function interruptSignal(): AbortSignal {
  controller ??= new AbortController();
  return controller.signal;
}

/** Starts listening for SIGINT and SIGTERM; called once by the entry of the command line. */
export function listenForInterrupt(): void {
  const onSignal = (): void => {
    if (controller === undefined || controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
    controller.abort(interruptedError());
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
}

/** The error that an interrupted command ends with: exit code 130. */
export function interruptedError(): CommError {
  return new CommError('Interrupted.', { code: 'cli/interrupted', exitCode: EXIT_INTERRUPTED });
}
