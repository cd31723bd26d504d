/** Records that give several samples each: which record and which part of it a sample is. */
import { CommError } from '../../config/errors.js';
import type { Records } from '../json-records.js';

/** The parts of all records one behind the other. */
export interface Parts {
  readonly length: number;
  at(index: number): { readonly record: number; readonly part: number };
}

/** Counts the parts of every record; a faulty record counts as one, so that whoever reads it is told of the fault. */
export function countParts(records: Records, numParts: (index: number) => number): Parts {
  const ends = new Float64Array(records.length);
  let length = 0;
  for (let i = 0; i < records.length; i++) {
    length += partsOrOne(i, numParts);
    ends[i] = length;
  }
  return {
    length,
    at: (index) => {
      let low = 0;
      let high = ends.length - 1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (ends[middle]! > index) high = middle;
        else low = middle + 1;
      }
      return { record: low, part: index - (low === 0 ? 0 : ends[low - 1]!) };
    },
  };
}

function partsOrOne(index: number, numParts: (index: number) => number): number {
  try {
    return numParts(index);
  } catch (error) {
    if (error instanceof CommError) return 1;
    throw error;
  }
}
