/** What ends a run from outside, in words: a full disk, a folder that cannot be written, too little memory. */
import { basename } from 'node:path';
import { TorchError } from '@commlm/torch';
import { CommError } from '../config/errors.js';
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
  if (error instanceof CommError || !(error instanceof Error)) return error;
  if (isOutOfMemory(error)) {
    return new CommError(`There is not enough memory for step ${step + 1}, with ${batchSize} samples at once.`, {
      code: 'train/memory',
      fix: `The weights of step ${step} are saved: free memory and go on with --resume, or start anew with a smaller loop.batchSize and a larger loop.accumulate.`,
      cause: error,
    });
  }
  switch (codeOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new CommError(`The disk of ${out} is full; step ${step} could not be written.`, {
        code: 'train/disk-full',
        fix: `Make room, or keep fewer checkpoints with --set loop.keepLast=1, then go on with --resume${before(out)}.`,
        cause: error,
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new CommError(`There is no permission to write into ${out}.`, {
        code: 'train/read-only',
        fix: 'Name another folder with --out, or make this one writable.',
        cause: error,
      });
    default:
      return error;
  }
}

/** The checkpoint that a run can go on from, in words; nothing where there is none. */
function before(out: string): string {
  const newest = listCheckpoints(out)[0];
  return newest === undefined ? '' : ` from ${basename(newest)}, which is whole`;
}

/** The system's code; making a folder on a read-only file system fails with one of its own in Node. */
function codeOf({ code, syscall }: NodeJS.ErrnoException): string | undefined {
  return code === 'ENOENT' && syscall === 'mkdir' ? 'EROFS' : code;
}
