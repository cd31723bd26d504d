/** A line of the table of parity with real weights, and the rules that its bounds follow. */

/** One line of the table. */
export interface RealRow {
  readonly model: string;
  /** Number format of our computation. */
  readonly format: string;
  readonly quantity: string;
  /** A relative difference, or how many differ. */
  readonly difference: number;
  readonly bound: number;
  /** Where the bound is from. */
  readonly rule: string;
  readonly ok: boolean;
  /** The first things that differ, for a reader who looks for the cause. */
  readonly examples?: readonly string[];
}

/**
 * How much more than the reference ours may lose in the same number format: twice. Both do the same sums in another order, so
 * their errors are two draws of one size; the reference's own is measured against its computation in a finer format.
 */
const FACTOR = 2;

const makeRow = (row: Omit<RealRow, 'ok'>): RealRow => ({
  ...row,
  // Written so that a NaN is not ok.
  ok: row.difference <= row.bound,
});

type Named = Pick<RealRow, 'model' | 'format' | 'quantity'>;

/** Something that has to be equal; `differing` are descriptions of what is not. */
export const equalRow = (named: Named, differing: readonly string[]): RealRow =>
  makeRow({
    ...{ ...named, difference: differing.length, bound: 0, rule: 'equal' },
    ...(differing.length === 0 ? {} : { examples: differing.slice(0, 3) }),
  });

/** Numbers in f32 against the reference in f32, which is itself `lost` away from f64: ours may be 2 on the other side. */
export const exactRow = (named: Named, difference: number, lost: number): RealRow =>
  makeRow({ ...named, difference, bound: (FACTOR + 1) * lost, rule: `${FACTOR + 1} x theirs f32 to f64` });

/** Numbers in a coarser format against the reference in f32, from which the reference in that format is `lost` away. */
export const roundedRow = (named: Named, difference: number, lost: number): RealRow =>
  makeRow({ ...named, difference, bound: FACTOR * lost, rule: `${FACTOR} x theirs ${named.format} to f32` });

/** The larger of the numbers; NaN where one is. */
export const largest = (numbers: Iterable<number>): number => Math.max(0, ...numbers);
