/** What ends a run from outside, in words: a full disk, a folder that cannot be written, too little memory. */
import { basename, resolve } from 'node:path';
import { TorchError } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import { isFileError, whyNoWrite } from '../../files/durable.js';
import { readError } from '../../files/read.js';
import { listCheckpoints } from './checkpoint.js';

/** Where a run was when it failed. */
export interface Place {
  readonly out: string;
  /** Steps done. */
  readonly step: number;
  readonly batchSize: number;
}

/** Whether libtorch could not get the memory it needed. */
export function isOutOfMemory(error: unknown): error is TorchError {
  return error instanceof TorchError && error.code === 'ERR_TORCH_OOM';
}

/** The error as one that says what to change; one that says so already, or that is not expected, as it is. */
export function explainFailure(error: unknown, { out, step, batchSize }: Place): unknown {
  if (isOutOfMemory(error)) {
    return new CommError(`There is not enough memory for step ${step + 1}, with ${batchSize} samples at once.`, {
      code: 'train/memory',
      fix: `Free memory and ${goOn(out)}, or start anew with another --out, a smaller loop.batchSize and a larger loop.accumulate.`,
      cause: error,
    });
  }
  // What our own writers say of a file is said of the run here: it can go on.
  const cause = error instanceof CommError && error.code === 'file/output' ? error.cause : error;
  if (!(cause instanceof Error) || cause instanceof CommError || !isFileError(cause)) return error;
  const { path } = cause as NodeJS.ErrnoException;
  if (isOf(out, cause)) return explainWrite(cause, out, step);
  return error instanceof CommError ? error : readError(error, path ?? 'A file', 'needed by the run');
}

/** Whether an error of the file system is about the run's own folder; one without a path is about an open file. */
function isOf(out: string, { path, syscall }: NodeJS.ErrnoException): boolean {
  return path === undefined ? syscall !== 'read' : resolve(path).startsWith(resolve(out));
}

function explainWrite(error: NodeJS.ErrnoException, out: string, step: number): CommError {
  const { code, syscall } = error;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new CommError(`The disk of ${out} is full; step ${step} could not be written.`, {
      code: 'train/disk-full',
      fix: `Make room, or keep fewer checkpoints with --set loop.keepLast=1, then ${goOn(out)}.`,
      cause: error,
    });
  }
  // Making a folder on a read-only file system fails with ENOENT in Node.
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || (code === 'ENOENT' && syscall === 'mkdir')) {
    return new CommError(`There is no permission to write into ${out}.`, {
      code: 'train/read-only',
      fix: 'Name another folder with --out, or make this one writable.',
      cause: error,
    });
  }
  return new CommError(`Step ${step} could not be written into ${out}: ${whyNoWrite(error)}.`, {
    code: 'train/output',
    fix: `When that is mended, ${goOn(out)}.`,
    cause: error,
  });
}

/** How the run goes on, as the end of a sentence. */
function goOn(out: string): string {
  try {
    const [newest] = listCheckpoints(out);
    if (newest !== undefined) return `go on from ${basename(newest)} with --resume`;
  } catch {
    // A folder that cannot be read is said already.
  }
  return 'run the command again without --resume';
}
