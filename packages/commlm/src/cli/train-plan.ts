/** What a run would do, printed before it is begun: what is in its way first, then what it takes; the recipe in JSON. */
import { existsSync, statfsSync } from 'node:fs';
import { totalmem } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import type { CommTrainConfig } from '../config/comm-train.js';
import type { Recipe } from '../config/recipe.js';
import { resolveModelFolder } from '../hub/model-folder.js';
import { ASSEMBLIES, RECIPES } from '../recipes/index.js';
import type { FeaturePlan } from '../train/feature-plan.js';
import { GPUS, gpusFor, UTILISATION } from '../train/memory/gpus.js';
import type { Range } from '../train/memory/work.js';
import type { RunPlan } from '../train/plan.js';
import {
  counted,
  formatBytes,
  formatCount,
  formatDuration,
  formatRate,
  formatTable,
  note,
  print,
  printJson,
  styleOf,
} from './output.js';

/** Prints the plan of `recipe`, whose run would lie in `out`; nothing is read or trained. */
export async function showPlan(recipe: Recipe, out: string, json: boolean): Promise<void> {
  const plan = recipe.kind === 'tokenizer' ? null : await (await import('../train/plan.js')).planRun(recipe);
  const warnings = [...(await missing(recipe)), ...(plan === null ? [] : tooSmall(plan, out))];
  const { yellow } = styleOf(process.stderr);
  for (const warning of json ? warnings : shortened(warnings)) note(yellow(warning));
  if (json) {
    printJson({ out, warnings, plan, recipe });
    return;
  }
  print(recipe.about);
  print(`writes into ${out}`);
  if (plan !== null) describePlan(plan);
  note(styleOf(process.stderr).dim('--json prints the plan with the resolved recipe.'));
}

/** Files of a training that are not there; a plan needs none of them. */
async function missing(recipe: Recipe): Promise<string[]> {
  if (recipe.kind !== 'comm') return [];
  const { data, model } = recipe.comm;
  const { missingData } = await import('../train/tasks/comm/data-files.js');
  const files = data.kind === 'mixture' ? missingData(data) : [];
  const folders = typeof model === 'string' ? [model] : [...model.encoders, model.tokenizer];
  const absent = folders.filter((folder) => !isThere(folder));
  return [...absent.map((folder) => startMissing(folder, recipe.comm)), ...files.map((path) => `missing: ${path}`)];
}

/** So many missing files are told one by one on a screen; of more the first ones, and where the others are told. */
const MISSING_SHOWN = 3;

/** Warnings as a screen shows them. */
function shortened(warnings: readonly string[]): string[] {
  const isFile = (warning: string): boolean => /^missing: [^,]+$/.test(warning);
  const files = warnings.filter(isFile).map((warning) => warning.slice('missing: '.length));
  if (files.length <= MISSING_SHOWN) return [...warnings];
  const shown = files.slice(0, MISSING_SHOWN).join(', ');
  const line = `missing: ${files.length} files and folders of data (${shown}, ...); --json names all, docs/data.md says where they come from`;
  const others = warnings.filter((warning) => !isFile(warning));
  const starts = others.filter((warning) => warning.startsWith('missing: '));
  return [...starts, line, ...others.filter((warning) => !starts.includes(warning))];
}

function isThere(folder: string): boolean {
  try {
    resolveModelFolder(folder);
    return true;
  } catch {
    return false;
  }
}

function startMissing(folder: string, config: CommTrainConfig): string {
  const maker = makerOf(folder, config);
  return `missing: ${folder}, which the training starts from${maker === undefined ? '' : `; make it with: ${maker}`}`;
}

/** The command that makes a folder a training starts from: the run of another recipe, or the putting together of parts. */
function makerOf(folder: string, { assembled }: CommTrainConfig): string | undefined {
  const before = basename(dirname(folder));
  if (basename(folder) === 'result' && Object.hasOwn(RECIPES, before)) return `commlm train ${before}`;
  if (assembled === undefined || !Object.hasOwn(ASSEMBLIES, assembled)) return undefined;
  return `commlm convert --recipe ${assembled} ${folder}`;
}

/** What of this machine is too small for the run, as far as it can be told from here. */
function tooSmall({ memory, features }: RunPlan, out: string): string[] {
  const found: string[] = [];
  if (memory.device === 'cpu' && memory.total > totalmem()) {
    found.push(
      `too small: this machine has ${formatBytes(totalmem())} of memory, the run takes ${formatBytes(memory.total)}`,
    );
  }
  const free = freeBytes(out);
  // While a checkpoint is written those before it are still there.
  const needed = memory.checkpoints + memory.checkpoint;
  if (needed > free) {
    found.push(
      `too small: ${formatBytes(free)} are free for ${out}, its checkpoints take ${formatBytes(needed)} while one is written beside those that are kept`,
    );
  }
  return features === null ? found : [...found, ...featuresTooSmall(features)];
}

/** What of the features will not be kept: nothing fails by it, and what is computed again takes its time. */
function featuresTooSmall({ folder, bytes, maxBytes, pictures, room }: FeaturePlan): string[] {
  const found: string[] = [];
  if (room < pictures) {
    found.push(
      `too small: comm.features.maxGB has room for ${formatCount(room)} of at most ${formatCount(pictures)} pictures; those beyond it are encoded whenever they come`,
    );
  }
  const [needed, free] = [Math.min(bytes, maxBytes), freeBytes(folder)];
  if (needed > free) {
    found.push(
      `too small: ${formatBytes(free)} are free for ${folder}, its features take up to ${formatBytes(needed)}; what finds no room is encoded whenever it comes`,
    );
  }
  return found;
}

function freeBytes(path: string): number {
  const disk = statfsSync(nearestFolder(path));
  return disk.bavail * disk.bsize;
}

const nearestFolder = (path: string): string => (existsSync(path) ? path : nearestFolder(dirname(resolve(path))));

function describePlan(plan: RunPlan): void {
  const { batchSize, accumulate } = plan;
  const passes = accumulate === 1 ? '' : ` (${accumulate} passes of ${batchSize})`;
  const all = `${formatCount(plan.samples)} ${plan.samples === 1 ? 'sample' : 'samples'} in all`;
  print(`${counted(plan.steps, 'step')} of ${counted(plan.effectiveBatch, 'sample')}${passes}, ${all}`);
  if (plan.work !== null) print(`${formatRange(plan.work.tokens, formatCount)} tokens of the language model`);
  const [checkpoints, evaluations] = [counted(plan.checkpoints, 'checkpoint'), counted(plan.evaluations, 'evaluation')];
  print(`${checkpoints}, ${evaluations}, ${counted(plan.warmupSteps, 'step')} of warm-up`);
  const highest = Math.max(...plan.learningRate.map(({ lr }) => lr));
  const rates = plan.learningRate.map(({ share, lr }) => `${formatRate(lr, highest)} at ${Math.round(100 * share)} %`);
  print(`learning rate ${rates.join(', ')}`);
  if (plan.memory.device.startsWith('cuda')) describeHardware(plan);
  print();
  const rows = plan.parts.map(({ name, trained, total }) => [name, formatCount(trained), formatCount(total - trained)]);
  const sum = ['all', formatCount(plan.trained), formatCount(plan.frozen)];
  print(
    formatTable(
      [{ title: 'part' }, { title: 'trains', align: 'right' }, { title: 'frozen', align: 'right' }],
      [...rows, sum],
    ),
  );
  print();
  describeMemory(plan);
  if (plan.features !== null) describeFeatures(plan.features);
}

/** Which GPUs have room, and how long each would take: operations over those it does a second, at the usual utilisation. */
function describeHardware({ memory, work }: RunPlan): void {
  const room = (total: number, name: string): boolean => gpusFor(total).some((gpu) => gpu.name === name);
  const rows = GPUS.map(({ name, gigabytes, teraflops }) => {
    const smaller = memory.smaller.find(({ total }) => room(total, name));
    const fits = room(memory.total, name) ? 'yes' : smaller === undefined ? 'no' : `with ${smaller.settings.join(' ')}`;
    const time = (operations: number): string => formatHours(operations / (teraflops * 1e12 * UTILISATION) / 3600);
    return [name, `${gigabytes} GB`, fits, fits === 'no' || work === null ? '' : formatRange(work.operations, time)];
  });
  const title = work === null ? '' : `time at ${100 * UTILISATION} % of its peak`;
  print();
  print(formatTable([{ title: 'one GPU' }, { title: 'memory', align: 'right' }, { title: 'fits' }, { title }], rows));
}

const formatHours = (hours: number): string => {
  if (hours >= 48) return counted(Math.round(hours / 24), 'day');
  return hours < 1 ? formatDuration(3_600_000 * hours) : `${Number(hours.toPrecision(2))} h`;
};

function describeMemory({ memory }: RunPlan): void {
  print(
    formatTable(
      [{ title: `memory on ${memory.device}` }, { title: 'bytes', align: 'right' }],
      [
        ['weights', formatBytes(memory.weights)],
        ['gradients', formatBytes(memory.gradients)],
        ['optimiser and f32 masters', formatBytes(memory.optimizer)],
        ['averages', formatBytes(memory.averages)],
        ['activations (estimate)', formatBytes(memory.activations)],
        ['sum', formatBytes(memory.total)],
        ...memory.smaller.map(({ settings, total }) => [`sum with ${settings.join(' ')}`, formatBytes(total)]),
        ['a checkpoint on disk', formatBytes(memory.checkpoint)],
        ['all that are kept', formatBytes(memory.checkpoints)],
      ],
    ),
  );
}

function describeFeatures({ folder, encoders, pictureBytes, pictures, bytes, maxBytes }: FeaturePlan): void {
  const rows = encoders.map(({ encoder, levels, tokens, width, dtype, pictureBytes: each }) => [
    encoder,
    String(levels),
    `${tokens} x ${width} ${dtype}`,
    formatBytes(each),
    formatBytes(each * pictures),
  ]);
  const number = { align: 'right' } as const;
  print();
  print(
    formatTable(
      [
        { title: `features in ${folder}` },
        { title: 'levels', ...number },
        { title: 'a level', ...number },
        { title: 'a picture', ...number },
        { title: `at most ${formatCount(pictures)} ${pictures === 1 ? 'picture' : 'pictures'}`, ...number },
      ],
      [
        ...rows,
        ['all', '', '', formatBytes(pictureBytes), formatBytes(bytes)],
        ['limit', '', '', '', formatBytes(maxBytes)],
      ],
    ),
  );
}

const formatRange = ({ least, most }: Range, format: (value: number) => string): string =>
  least === most ? format(least) : `${format(least)} to ${format(most)}`;
