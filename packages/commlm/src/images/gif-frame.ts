/**
 * The first frame of a GIF: where it lies on the canvas, and the colour behind its transparent pixels and around it. A
 * decoder gives those pixels no colour, but each is an entry of the palette, and that is what a reader without transparency
 * (Pillow's `convert('RGB')`) sees.
 */

/** Where the first frame lies, and the colour of what it does not paint. */
export interface GifFrame {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  /** The transparent entry of its palette; entry 0 where none is transparent. */
  readonly background: readonly [red: number, green: number, blue: number];
}

/** Reads the first frame's place and palette; undefined where the file ends before it. */
export function readGifFrame(bytes: Uint8Array): GifFrame | undefined {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const globalSize = tableBytes(view[10] ?? 0);
  let transparent = 0;
  for (let at = 13 + globalSize; at + 10 <= view.length; ) {
    if (view[at] === 0x21) {
      // A graphic control extension: size 4, flags, two bytes of delay, the transparent entry.
      if (view[at + 1] === 0xf9 && ((view[at + 3] ?? 0) & 1) === 1) transparent = view[at + 6] ?? 0;
      at = behindBlocks(view, at + 2);
    } else if (view[at] === 0x2c) {
      const [left, top] = [view.readUInt16LE(at + 1), view.readUInt16LE(at + 3)];
      const [right, bottom] = [left + view.readUInt16LE(at + 5), top + view.readUInt16LE(at + 7)];
      const localSize = tableBytes(view[at + 9] ?? 0);
      const entry = (localSize > 0 ? at + 10 : 13) + 3 * transparent;
      const colour = (c: number): number => (localSize + globalSize === 0 ? transparent : (view[entry + c] ?? 0));
      return { left, top, right, bottom, background: [colour(0), colour(1), colour(2)] };
    } else return undefined;
  }
  return undefined;
}

/** Bytes of the colour table that a descriptor's flags announce. */
function tableBytes(flags: number): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1);
}

/** Behind a chain of blocks, each led by its length; a length of zero ends it. */
function behindBlocks(view: Buffer, start: number): number {
  let at = start;
  while (at < view.length && view[at] !== 0) at += 1 + view[at]!;
  return at + 1;
}
