/**
 * Parity of picture encoders with transformers, timm and open_clip on the tiny random folders of tests/golden/encoders, which
 * those libraries wrote (tools/golden/encoders.py): the prepared pixels, every hidden state, and the final norm.
 */
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { io, noGrad, scope, type Tensor } from '@commlm/torch';
import { maxRelDiff, roundingBound } from '@commlm/torch/testing';
import { decodeImage, loadHfEncoder } from 'commlm';
import { forwardBound } from './arithmetic.js';
import type { ParityRow } from './measure.js';

/** An inner module of the product, which its public entry does not offer; found from the compiled test. */
const { preprocess } = (await import(
  new URL('../../../packages/commlm/dist/images/preprocess.js', import.meta.url).href
)) as typeof import('../../packages/commlm/dist/images/preprocess.js');

/** Where the golden encoders lie. */
export const encodersFolder = fileURLToPath(new URL('../../golden/encoders', import.meta.url));

/** The picture that the libraries prepared. */
export const goldenPicture = join(encodersFolder, 'picture.png');

/** Names of the golden encoders. */
export const goldenEncoders = (): string[] =>
  readdirSync(encodersFolder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();

/** All rows of one encoder: pixels (equal, so bound 0; DINOv3's are floating point throughout), hidden states, the final norm; the same on another grid where that is stored. */
export async function measureEncoder(name: string): Promise<ParityRow[]> {
  const image = await decodeImage(await readFile(goldenPicture));
  const path = join(encodersFolder, name);
  using golden = io.openSafetensors(join(path, 'golden.safetensors'));
  return scope(() =>
    noGrad(() => {
      const { vit, image: config } = loadHfEncoder(path, { dtype: 'f32' });
      const row = (quantity: string, difference: number, bound: number): ParityRow => {
        return { model: name, dtype: 'f32', quantity, difference, bound, ok: difference <= bound };
      };
      const theirs = golden.tensor('pixels.picture');
      const pixels = theirs.reshape(1, ...theirs.shape);
      const rows: ParityRow[] = [];
      const ours = preprocess(image, config).pixels;
      // DINOv3's are resized in floating point, with up to 16 taps each way, and then scaled and shifted.
      const afloat = roundingBound({ terms: 2 * 16, steps: 3 }) * theirs.abs().max().item();
      rows.push(row('pixels', largest(theirs.flatten().toArray(), ours), config.rounding === 'none' ? afloat : 0));
      const bound = forwardBound(vit.config);
      const compare = (input: Tensor, prefix: string, label: string): void => {
        const levels = Array.from({ length: vit.config.numLayers + 1 }, (_, i) => i);
        const states = vit.forward(input, levels, { keepSpecial: true });
        const differences = states.map((state, i) => maxRelDiff(state, golden.tensor(`${prefix}.hidden.${i}`)));
        rows.push(row(`hidden states 0..${levels.length - 1}${label}`, Math.max(...differences), bound));
        if (!golden.has(`${prefix}.normed`)) return;
        const normed = vit.norm.forward(states.at(-1)!);
        rows.push(row(`final norm${label}`, maxRelDiff(normed, golden.tensor(`${prefix}.normed`)), bound));
      };
      compare(pixels, 'f32', '');
      if (golden.has('wide.pixels')) compare(golden.tensor('wide.pixels'), 'wide.f32', ', another grid');
      vit.dispose();
      return rows;
    }),
  );
}

/** Largest difference of two lists of numbers; infinite when their lengths differ. */
function largest(a: ArrayLike<number | bigint>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(Number(a[i]) - b[i]!));
  return most;
}
