/**
 * The first directory of a TIFF file; EXIF data is such a file too. Reads as far as the bytes reach: what is cut off or
 * malformed is left out, as viewers do, and never an error.
 */

/** One entry that holds whole numbers. */
export interface TiffEntry {
  readonly values: readonly number[];
  /** Where the first value lies in the file, in how many bytes. */
  readonly offset: number;
  readonly size: number;
  readonly littleEndian: boolean;
}

/** Whole numbers by tag; texts, fractions and unknown types are absent. */
export type TiffDirectory = ReadonlyMap<number, TiffEntry>;

type ReadValue = (view: DataView, at: number, littleEndian: boolean) => number;

/** Types by their number in the file: bytes of one value, and how it is read. */
const NUMBER_TYPES: Readonly<Record<number, { readonly size: number; readonly read: ReadValue }>> = {
  3: { size: 2, read: (view, at, littleEndian) => view.getUint16(at, littleEndian) },
  4: { size: 4, read: (view, at, littleEndian) => view.getUint32(at, littleEndian) },
  8: { size: 2, read: (view, at, littleEndian) => view.getInt16(at, littleEndian) },
  9: { size: 4, read: (view, at, littleEndian) => view.getInt32(at, littleEndian) },
  16: { size: 8, read: (view, at, littleEndian) => Number(view.getBigUint64(at, littleEndian)) },
};

/** Values of one entry that are read: more than any tag needs that is asked for here. */
const MAX_VALUES = 16;

/** The entries of the first directory (of two with one tag the first counts); empty for what is no TIFF. */
export function readTiffDirectory(bytes: Uint8Array): TiffDirectory {
  const entries = new Map<number, TiffEntry>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const order = view.getUint16(0);
    if (order !== 0x4949 && order !== 0x4d4d) return entries;
    const littleEndian = order === 0x4949;
    const version = view.getUint16(2, littleEndian);
    if (version !== 42 && version !== 43) return entries;
    const big = version === 43;
    const wide = (at: number): number =>
      big ? Number(view.getBigUint64(at, littleEndian)) : view.getUint32(at, littleEndian);
    const start = wide(big ? 8 : 4);
    const numEntries = big ? wide(start) : view.getUint16(start, littleEndian);
    for (let i = 0; i < numEntries; i++) {
      const at = start + (big ? 8 + 20 * i : 2 + 12 * i);
      const tag = view.getUint16(at, littleEndian);
      const type = NUMBER_TYPES[view.getUint16(at + 2, littleEndian)];
      const count = wide(at + 4);
      if (type === undefined || count === 0 || entries.has(tag)) continue;
      const { size, read } = type;
      const place = at + (big ? 12 : 8);
      const offset = count * size > (big ? 8 : 4) ? wide(place) : place;
      if (offset + count * size > bytes.length) continue;
      const values = Array.from({ length: Math.min(count, MAX_VALUES) }, (_, k) =>
        read(view, offset + k * size, littleEndian),
      );
      entries.set(tag, { values, offset, size, littleEndian });
    }
  } catch (error) {
    // A read behind the last byte: the directory ends here.
    if (!(error instanceof RangeError)) throw error;
  }
  return entries;
}
