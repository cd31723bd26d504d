/** The one error type that users meet: a sentence with the cause, and the command or field that fixes it. */

export interface CommErrorOptions {
  /** Stable machine-readable name, e.g. `image/truncated`. */
  readonly code: string;
  /** What the user can do about it, as a full sentence or a command. */
  readonly fix?: string | undefined;
  /** Process exit code when the error ends a command: 1 failed (default), 2 wrong usage, 130 or 143 interrupted. */
  readonly exitCode?: 1 | 2 | 130 | 143 | undefined;
  readonly cause?: unknown;
}

/** An error whose message is one clear sentence; the command line prints `message` and `fix` and no stack. */
export class CommError extends Error {
  override readonly name = 'CommError';
  readonly code: string;
  readonly fix: string | undefined;
  readonly exitCode: 1 | 2 | 130 | 143;

  constructor(message: string, options: CommErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.fix = options.fix;
    this.exitCode = options.exitCode ?? 1;
  }

  /** The name, the cause and the fix. */
  override toString(): string {
    return `${this.name}: ${this.message}${this.fix === undefined ? '' : ` ${this.fix}`}`;
  }
}
