/** Faults of data: one sentence that starts with the file and the line, or the store and the key. */
import { CommError } from '../config/errors.js';

/** A sample that is not as its format says; `problem` completes the sentence `<where>: ...`. */
export function sampleError(where: string, problem: string, fix?: string): CommError {
  return new CommError(`${where}: ${problem}`, { code: 'data/sample', fix });
}

/** A picture that cannot be read. */
export function pictureError(
  where: string,
  problem: string,
  options: { fix?: string; cause?: unknown } = {},
): CommError {
  return new CommError(`${where}: ${problem}`, { code: 'data/picture', ...options });
}

/** What the system says about a file that cannot be opened, as the end of a sentence. */
export function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'there is no such file.';
  if (code === 'EISDIR') return 'this is a folder, a file is needed.';
  return `it cannot be read (${code ?? (error instanceof Error ? error.message : String(error))}).`;
}
