// The colour behind the transparent pixels of a GIF's first frame. Decoders give such pixels no colour, but each is an
// entry of the palette, and that is what a reader without transparency (Pillow's `convert('RGB')`) sees.

type Colour = readonly [red: number, green: number, blue: number];

const BLACK: Colour = [0, 0, 0];

/** Colour of the transparent entry of the first frame's palette; of entry 0 where none is transparent. */
export function gifBackground(bytes: Uint8Array): Colour {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const globalSize = tableBytes(view[10] ?? 0);
  let transparent = 0;
  for (let at = 13 + globalSize; at < view.length; ) {
    const introducer = view[at];
    if (introducer === 0x21) {
      // A graphic control extension: size 4, flags, two bytes of delay, the transparent entry.
      if (view[at + 1] === 0xf9 && ((view[at + 3] ?? 0) & 1) === 1) transparent = view[at + 6] ?? 0;
      at = behindBlocks(view, at + 2);
    } else if (introducer === 0x2c) {
      const localSize = tableBytes(view[at + 9] ?? 0);
      const table = localSize > 0 ? at + 10 : 13;
      if (localSize + globalSize === 0) return [transparent, transparent, transparent];
      return [0, 1, 2].map((c) => view[table + 3 * transparent + c] ?? 0) as unknown as Colour;
    } else break;
  }
  return BLACK;
}

/** Bytes of the colour table that a descriptor's flags announce. */
function tableBytes(flags: number): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1);
}

/** Behind a chain of blocks, each led by its length; a length of zero ends it. */
function behindBlocks(view: Buffer, start: number): number {
  let at = start;
  while (at < view.length && view[at] !== 0) at += 1 + (view[at] as number);
  return at + 1;
}
