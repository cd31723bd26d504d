/**
 * `commlm data preview`: samples of a recipe as the model sees them, in the terminal, as JSON, as pictures with a page.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CommTrainConfig, WorldData } from '../config/comm-train.js';
import { CommError } from '../config/errors.js';
import { setsOf } from '../config/mixture.js';
import type { WrittenTurn } from '../data/example.js';
import type { Place } from '../data/mixture.js';
import type { Span } from '../data/preview.js';
import type { PreparedSample } from '../data/reader.js';
import { makeFolder, writeDurably } from '../files/durable.js';
import type { LabelledBox } from '../images/draw.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { MixtureBatchOptions } from '../train/tasks/comm/mixture-batches.js';
import type { WorldBatch } from '../train/tasks/comm/world-batches.js';
import { mixtureOptions, type RecipeOptions, recipeOf } from './data-recipe.js';
import type { Fault } from './fault-groups.js';
import { counted, note, print, printJson, styleOf } from './output.js';

/** Options of `data preview`. */
export interface PreviewOptions extends RecipeOptions {
  readonly count: number;
  readonly start: number;
  readonly only?: string;
  readonly out?: string;
}

/** What a preview says of one sample. */
interface PreviewedSample {
  readonly id: string;
  readonly set: string;
  readonly where: string;
  readonly tokens: number;
  readonly learned: number;
  /** Questions and answers with all coordinates written out. */
  readonly turns: readonly WrittenTurn[];
  readonly cut?: { readonly turns: number; readonly tokens: number } | undefined;
  readonly pictures: readonly {
    readonly key: string;
    readonly width: number;
    readonly height: number;
    readonly marks: readonly LabelledBox[];
    readonly file?: string | undefined;
  }[];
  readonly spans: readonly Span[];
}

/** Prints samples. */
export async function preview(name: string, options: PreviewOptions): Promise<void> {
  const recipe = await recipeOf(name, options.set);
  if (recipe.kind === 'comm' && recipe.comm.data.kind === 'world') {
    await previewWorld(name, recipe.comm, recipe.loop.batchSize, recipe.comm.data, options);
    return;
  }
  const { batch } = await mixtureOptions(name, recipe);
  const { openMixture } = await import('../train/tasks/comm/mixture-batches.js');
  const { SampleError } = await import('../data/example.js');
  const { Tokenizer } = await import('../text/tokenizer.js');
  if (options.only !== undefined && !Object.hasOwn(batch.data.sets, options.only)) {
    throw new CommError(`The recipe ${name} has no data set "${options.only}".`, {
      code: 'data/unknown-set',
      fix: `Choose one of ${setsOf(batch.mix).join(', ')}.`,
      exitCode: 2,
    });
  }
  const mix = options.only === undefined ? batch.mix : ({ kind: 'set', set: options.only } as const);
  const { mixture, reader } = await openMixture({ ...batch, mix, shuffle: options.only === undefined });
  const tokenizer = await Tokenizer.load(batch.tokenizer);
  if (options.out !== undefined) openPageFolder(options.out);
  const samples: (
    | PreviewedSample
    | { readonly set: string; readonly error: string; readonly fix?: string | undefined }
  )[] = [];
  const faults: Fault[] = [];
  try {
    for (let k = options.start; k < options.start + options.count; k++) {
      const draw = mixture.at(k);
      try {
        const prepared = await reader.prepare(reader.sample(draw, draw.draw));
        const shown = await describeSample(prepared, draw, tokenizer, batch, options.out);
        samples.push(shown);
        if (options.json !== true) printSample(k, shown);
      } catch (error) {
        if (!(error instanceof SampleError)) throw error;
        const { kind, message, fix } = error;
        faults.push({ kind, message, fix });
        samples.push({ set: draw.set, error: message, fix });
        if (options.json !== true) print(`#${k}  ${draw.set}  ${styleOf().red('fault')} ${message}\n`);
      }
    }
  } finally {
    await reader.close();
  }
  const allFail = faults.length === samples.length;
  if (options.out !== undefined && !allFail)
    await writePage(
      name,
      options.out,
      samples.filter((sample) => 'spans' in sample),
    );
  if (options.json === true) printJson({ recipe: name, samplesPerEpoch: mixture.length, samples });
  if (allFail) throw nothingToShow(name, faults);
  if (options.json !== true && faults.length > 0) {
    for (const fix of new Set(faults.flatMap(({ fix = [] }) => fix))) note(`fault: ${fix}`);
  }
  if (options.json !== true)
    note(
      `${counted(mixture.length, 'sample')} an epoch${options.out === undefined ? '' : `; ${join(options.out, 'index.html')} shows these`}`,
    );
}

/** The error of a preview that has no sample to show. */
function nothingToShow(name: string, faults: readonly Fault[]): CommError {
  const [first] = faults;
  const all =
    faults.length === 1 ? 'The sample that was drawn' : `Each of the ${faults.length} samples that were drawn`;
  return new CommError(
    `${all} has a fault (${[...new Set(faults.map(({ kind }) => kind))].join(', ')}); there is nothing to show.`,
    {
      code: 'data/all-faults',
      fix: `${first?.fix ?? 'Mend the data.'} "commlm data validate ${name}" finds all faults.`,
    },
  );
}

/** A new or empty folder, or one of an earlier preview: pictures of others might have the names of those that are written. */
function openPageFolder(folder: string): void {
  makeFolder(folder);
  const names = readdirSync(folder);
  if (names.length === 0 || names.includes('index.html')) return;
  throw new CommError(`The folder ${folder} is not empty and holds no preview.`, {
    code: 'data/preview-folder',
    fix: 'Name a new or empty folder.',
    exitCode: 2,
  });
}

async function describeSample(
  prepared: PreparedSample,
  { set, index }: Place,
  tokenizer: Tokenizer,
  batch: MixtureBatchOptions,
  out: string | undefined,
): Promise<PreviewedSample> {
  const { marksOnPicture, numLearned, spansOf } = await import('../data/preview.js');
  const { drawBoxes } = await import('../images/draw.js');
  const { sample, example } = prepared;
  const pictures = [];
  for (const [i, { ref, image }] of prepared.pictures.entries()) {
    const marks = marksOnPicture(prepared, i);
    const file = `${set}-${index}${i === 0 ? '' : `-${i + 1}`}.png`.replaceAll(/[^\w.-]/g, '_');
    if (out !== undefined) writeDurably(join(out, file), await drawBoxes(image, marks));
    const { width, height } = image;
    pictures.push({ key: `${ref.store}/${ref.key}`, width, height, marks, file: out === undefined ? undefined : file });
  }
  return {
    id: sample.id,
    set,
    where: sample.where,
    tokens: example.ids.length,
    learned: numLearned(example),
    turns: example.turns,
    cut: example.cut,
    pictures,
    spans: spansOf(example.ids, example.labels, tokenizer, batch.model.imageTokens.patchId),
  };
}

const headline = ({ tokens, learned, cut }: PreviewedSample): string =>
  `${counted(tokens, 'token')}, ${learned} learned${cut === undefined ? '' : `, cut: ${counted(cut.turns, 'turn')} and ${counted(cut.tokens, 'token')}`}`;

function printSample(k: number, sample: PreviewedSample): void {
  const { bold } = styleOf();
  print(`${bold(`#${k}  ${sample.set}`)}  ${sample.where}  ${headline(sample)}`);
  for (const { key, width, height, marks, file } of sample.pictures) {
    const numMarks = marks.length === 0 ? '' : `, ${counted(marks.length, 'mark')}`;
    print(`  ${key}  ${width} x ${height}${numMarks}${file === undefined ? '' : `  -> ${file}`}`);
  }
  print(`${paintSpans(sample.spans)}\n`);
}

/** Learned text in green, or in double brackets where there is no colour. */
function paintSpans(spans: readonly Span[]): string {
  const { cyan, dim, green } = styleOf();
  const isPlain = green('x') === 'x';
  return spans
    .map(({ kind, text, numTokens }) => {
      if (kind === 'picture') return cyan(`[${text}: ${counted(numTokens, 'token')}]`);
      if (kind === 'learned') return isPlain ? `\u27e6${text}\u27e7` : green(text);
      return dim(text);
    })
    .join('');
}

/** Rows of the synthetic world, which a recipe of comm-tiny draws itself: several questions about one picture in a row. */
async function previewWorld(
  name: string,
  training: CommTrainConfig,
  batchSize: number,
  world: WorldData,
  { count, start, only, out, json }: PreviewOptions,
): Promise<void> {
  if (only !== undefined) {
    throw new CommError(`The recipe ${name} has no data sets; its scenes are drawn.`, {
      code: 'data/no-data',
      exitCode: 2,
    });
  }
  const [{ createBatcher }, { describeStart }, { worldBatchOptions }, { fetchFolder }, { Tokenizer }] =
    await Promise.all([
      import('../train/tasks/comm/world-batches.js'),
      import('../train/tasks/comm/start.js'),
      import('../train/tasks/comm/world-data.js'),
      import('./pull.js'),
      import('../text/tokenizer.js'),
    ]);
  const { model: from } = training;
  const { model, tokenizer: folder } =
    typeof from === 'string'
      ? describeStart({ model: await fetchFolder(from) })
      : { model: from.config, tokenizer: await fetchFolder(from.tokenizer) };
  const tokenizer = await Tokenizer.load(folder);
  const batchOptions = worldBatchOptions(world, batchSize, model, folder);
  const { side } = batchOptions;
  const batcher = await createBatcher(batchOptions);
  if (out !== undefined) openPageFolder(out);
  const rows: WorldRow[] = [];
  for (let index = start; rows.length < count; index++) {
    const batch = (await batcher(index)) as WorldBatch;
    rows.push(...(await worldRows(batch, index, { side, tokenizer, patchId: model.imageTokens.patchId, out })));
  }
  rows.length = count;
  if (json === true) {
    printJson({ recipe: name, rows });
    return;
  }
  for (const { title, spans } of rows) print(`${styleOf().bold(title)}\n${paintSpans(spans)}\n`);
  if (out === undefined) return;
  const { previewPage } = await import('../data/preview.js');
  const page = rows.map(({ title, spans, file }) => ({
    title,
    note: '',
    spans,
    pictures: file === undefined ? [] : [file],
  }));
  writeDurably(join(out, 'index.html'), previewPage(`Rows of ${name}`, page));
  note(`${join(out, 'index.html')} shows these`);
}

interface WorldRow {
  readonly title: string;
  readonly spans: readonly Span[];
  readonly file?: string | undefined;
}

/** The rows of a batch that show one picture each, in the order of the pictures. */
async function worldRows(
  batch: WorldBatch,
  index: number,
  settings: {
    readonly side: number;
    readonly tokenizer: Tokenizer;
    readonly patchId: number;
    readonly out: string | undefined;
  },
): Promise<WorldRow[]> {
  const { spansOf } = await import('../data/preview.js');
  const { encodePicture } = await import('../images/draw.js');
  const { side, tokenizer, patchId, out } = settings;
  const {
    numTokens,
    numPictures,
    squares: [pictures],
  } = batch;
  const rows: WorldRow[] = [];
  for (let r = 0; r < numPictures; r++) {
    const end =
      batch.segments.subarray(r * numTokens, (r + 1) * numTokens).findLastIndex((segment) => segment >= 0) + 1;
    const of = (values: BigInt64Array): number[] =>
      [...values.subarray(r * numTokens, r * numTokens + end)].map(Number);
    const title = `batch ${index}, picture ${r + 1}`;
    const file = out === undefined ? undefined : `batch-${index}-${r + 1}.png`;
    if (out !== undefined && file !== undefined) {
      const data = pictures.subarray(r * side * side * 3, (r + 1) * side * side * 3);
      writeDurably(join(out, file), await encodePicture({ width: side, height: side, data }));
    }
    rows.push({
      title,
      spans: spansOf(of(batch.ids), of(batch.labels), tokenizer, patchId),
      file,
    });
  }
  return rows;
}

async function writePage(name: string, out: string, samples: readonly PreviewedSample[]): Promise<void> {
  const { previewPage } = await import('../data/preview.js');
  const page = previewPage(
    `Samples of ${name}`,
    samples.map((sample) => ({
      title: sample.id,
      note: `${sample.where}, ${headline(sample)}`,
      spans: sample.spans,
      pictures: sample.pictures.flatMap(({ file }) => (file === undefined ? [] : [file])),
    })),
  );
  writeDurably(join(out, 'index.html'), page);
}
