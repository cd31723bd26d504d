/** `commlm inspect [model]`: architecture, parts, parameters, memory for each number format, level weights as bars, health. */
import type { Command } from 'commander';
import { partName } from '../config/parts.js';
import type { BranchReport } from '../eval/branch-health.js';
import type { RgbImage } from '../images/decode.js';
import type { LevelWeights, ModelReport } from '../inspect/inspect.js';
import { interruptSignal } from './interrupt.js';
import { openSession } from './open-session.js';
import { addFolderOptions, type FolderOptions } from './options.js';
import { formatBytes, formatCount, formatTable, print, printJson, styleOf } from './output.js';
import { checkPicturesExist, isFolder, picturesIn } from './pictures.js';
import { printable } from './terminal-text.js';

interface InspectCommandOptions extends FolderOptions {
  readonly json?: boolean;
  /** True where no pictures are named. */
  readonly health?: true | string[];
}

const BAR_WIDTH = 40;

/** Scenes that the branches are measured on where no pictures are named. */
const NUM_SCENES = 32;

/** Adds the command `inspect`. */
export function register(program: Command): void {
  const command = program
    .command('inspect')
    .description(
      'Show what a model folder holds; only the headers of its weight files are read, unless --health runs it.',
    )
    .argument('[model]', 'model folder (default: the embedded models/comm-tiny)');
  addFolderOptions(command)
    .option('--json', 'print one JSON document in place of text')
    .option(
      '--health [pictures...]',
      `whether each encoder takes part: runs the model on pictures or folders of them (default: ${NUM_SCENES} unseen scenes of the synthetic world)`,
    )
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  commlm inspect models/comm-tiny',
        '  commlm inspect models/comm-tiny --health',
        '  commlm inspect my-model --health examples',
      ].join('\n'),
    )
    .action((model: string | undefined, options: InspectCommandOptions) => inspect(model, options));
}

async function inspect(
  model: string | undefined,
  { json, health: pictures, ...options }: InspectCommandOptions,
): Promise<void> {
  const { inspectModel } = await import('../inspect/inspect.js');
  const report = inspectModel(model, options);
  const health = pictures === undefined ? undefined : await measureHealth(model, options, pictures);
  if (json) printJson({ ...report, ...(health === undefined ? {} : { health }) });
  else await printReport(report, health);
}

/** Runs the model on the pictures. */
async function measureHealth(
  model: string | undefined,
  folders: FolderOptions,
  named: true | readonly string[],
): Promise<BranchReport> {
  const paths = named === true ? [] : named.flatMap((path) => (isFolder(path) ? picturesIn(path) : [path]));
  checkPicturesExist(paths);
  using session = await openSession({
    ...folders,
    allowUntrained: true,
    ...(model === undefined ? {} : { model }),
  });
  const { healthScenes, reportBranches } = await import('../eval/branch-health.js');
  const pictures = named === true ? await healthScenes(NUM_SCENES) : await openAll(paths);
  return await reportBranches(session, pictures, { levels: true, signal: interruptSignal() });
}

async function openAll(paths: readonly string[]): Promise<RgbImage[]> {
  const { openPicture } = await import('../images/picture.js');
  return Promise.all(paths.map((path) => openPicture(path)));
}

async function printReport(report: ModelReport, health: BranchReport | undefined): Promise<void> {
  const style = styleOf();
  print(`${style.bold(printable(report.model))}  ${printable(report.modelType)}`);
  print(printable(report.summary));
  print();
  print(
    formatTable(
      [
        { title: 'part' },
        { title: 'parameters', align: 'right' },
        { title: 'on disk', align: 'right' },
        { title: 'dtype' },
        { title: 'what' },
      ],
      [
        ...report.parts.map(({ name, numParameters, bytes, dtypes, description }) => [
          printable(partName(name)),
          formatCount(numParameters),
          formatBytes(bytes),
          dtypes.join(','),
          printable(description),
        ]),
        [
          style.bold('all'),
          style.bold(formatCount(report.numParameters)),
          style.bold(formatBytes(report.bytesOnDisk)),
          '',
          '',
        ],
      ],
    ),
  );
  print();
  if (report.ignored.length > 0)
    print(style.dim(`passed over when loading: ${report.ignored.length} tensors (--json names them)`));
  if (report.untrained.length > 0)
    print(style.yellow(`untrained, with fresh weights: ${printable(report.untrained.map(partName).join(', '))}`));
  const memory = Object.entries(report.memory).map(([dtype, bytes]) => `${dtype} ${formatBytes(bytes)}`);
  print(`memory of the weights: ${memory.join(', ')}`);
  if (report.tokensPerImage !== undefined) {
    print(`tokens of a picture: ${report.tokensPerImage}; longest conversation: ${report.maxPositions} tokens`);
  } else if (report.maxPositions !== undefined) print(`longest text: ${report.maxPositions} tokens`);
  for (const weights of report.levelWeights) printBars(weights);
  if (health !== undefined) await printHealth(report, health);
}

/** Each branch in a line, what is wrong in a sentence, and what each level gives beside its weight. */
async function printHealth(
  { levelWeights }: ModelReport,
  { pictures, loss, branches, levels = [] }: BranchReport,
): Promise<void> {
  const { branchLine, riseText } = await import('../features/branch-words.js');
  const style = styleOf();
  print();
  print(
    `${style.bold('health')} on ${pictures} pictures, by the loss of the model's own descriptions: ${loss.toFixed(4)} nats`,
  );
  for (const branch of branches) print(`  ${branchLine(branch, loss)}`);
  for (const { trouble } of branches) if (trouble !== null) print(style.yellow(trouble));
  for (const [i, own] of levels.entries()) {
    const { type } = branches[i]!;
    const weights = levelWeights.find(({ index }) => index === i);
    print();
    print(
      formatTable(
        [
          { title: `${type} level` },
          { title: weights?.symbol ?? 'weight', align: 'right' },
          { title: 'variance share', align: 'right' },
          { title: 'loss without it', align: 'right' },
        ],
        own.map(({ level, varianceShare, dropOne }, l) => [
          String(level),
          weights?.weights[l]?.toFixed(4) ?? '-',
          `${(100 * varianceShare).toFixed(1)} %`,
          riseText(dropOne),
        ]),
      ),
    );
  }
}

/**
 * The level weights as horizontal bars; a negative one (free weights) hangs to the left of its sign. They are factors and no
 * importance, since the linear map behind each level rescales it.
 */
function printBars({ encoder, symbol, levels, weights }: LevelWeights): void {
  const style = styleOf();
  print();
  print(
    `${style.bold(symbol)}: the factors of the levels of ${printable(encoder)} (no importance: --health measures that)`,
  );
  const largest = Math.max(...weights.map(Math.abs), Number.EPSILON);
  for (const [i, weight] of weights.entries()) {
    const bar = '#'.repeat(Math.round((Math.abs(weight) / largest) * BAR_WIDTH));
    print(
      `  ${String(levels[i]).padStart(3)}  ${weight.toFixed(4).padStart(8)}  ${weight < 0 ? style.red(bar) : style.cyan(bar)}`,
    );
  }
}
