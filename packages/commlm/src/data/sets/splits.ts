/** Splits that a file names. */ import { dataPlace } from '../place.js';

/** Refuses a choice of splits that leaves nothing, naming those that the file has. */
export function requireSamples(
  numSamples: number,
  file: string,
  splits: readonly string[] | undefined,
  found: ReadonlySet<string>,
): void {
  if (numSamples > 0) return;
  throw dataPlace(file).error(
    splits === undefined ? 'the file holds no samples.' : `nothing is in the split ${splits.join(', ')}.`,
    splits === undefined ? 'Check the file.' : `Its splits are ${[...found].join(', ') || 'none'}.`,
  );
}
