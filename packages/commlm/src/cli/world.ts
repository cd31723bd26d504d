/** `commlm world`: synthetic scenes as pictures with annotations in the formats of the public data sets. */
import { type Command, Option } from 'commander';
import { StyleChoice } from '../config/world.js';
import { PICTURE_FORMATS, type PictureFormat, SPLITS, type Split } from '../data/world/vocabulary.js';
import { interruptSignal } from './interrupt.js';
import { wholeNumber } from './options.js';
import { formatTable, note, print, printJson } from './output.js';
import { Progress } from './progress.js';

interface WorldCommandOptions {
  readonly split: Split;
  readonly count: number;
  readonly seed: number;
  readonly style: StyleChoice;
  readonly size: number;
  readonly format: PictureFormat;
  readonly json?: boolean;
}

const NOTES = `
Train and test differ in seeds and in what stands together; "shift" draws with an icon set that training never sees.
The same options give the same files. A stopped run goes on where it was.

Examples:
  commlm world out/world --split test --count 500
  commlm world out/shift --split test --style shift --count 500 --seed 1`;

/** Adds `world` to the program. */
export function register(program: Command): void {
  program
    .command('world')
    .description('write synthetic scenes in the file formats of the real data sets')
    .argument('<out>', 'folder to write, new or begun with the same options')
    .addOption(new Option('--split <name>', 'train or test').choices(SPLITS).default('train'))
    .option('--count <n>', 'number of pictures', wholeNumber(1, 1_000_000), 100)
    .option('--seed <n>', 'another seed gives other scenes', wholeNumber(0, 2 ** 20), 0)
    .addOption(new Option('--style <name>', 'how things are drawn').choices(StyleChoice.options).default('known'))
    .option('--size <pixels>', 'long side of the pictures', wholeNumber(32, 4096), 320)
    .addOption(new Option('--format <name>', 'png or jpg').choices(PICTURE_FORMATS).default('png'))
    .option('--json', 'print one JSON document')
    .addHelpText('after', NOTES)
    .action(run);
}

async function run(out: string, { json, ...options }: WorldCommandOptions): Promise<void> {
  const [{ loadSpriteBank }, { writeWorld }] = await Promise.all([
    import('../data/world/sprites.js'),
    import('../data/world/write.js'),
  ]);
  let drawing: Progress | undefined;
  const bank = await loadSpriteBank({
    onProgress: (done, total) => {
      drawing ??= new Progress({ label: 'drawing sprites', total, unit: 'sprites' });
      drawing.update(done);
    },
  });
  drawing?.finish();
  let painting: Progress | undefined;
  const summary = await writeWorld({
    ...options,
    out,
    bank,
    signal: interruptSignal(),
    onProgress: (done, fresh) => {
      const start = done - fresh;
      painting ??= new Progress({ label: 'painting', total: options.count, unit: 'pictures', start });
      painting.update(done);
    },
  });
  painting?.finish();
  if (json) {
    printJson(summary);
    return;
  }
  print(`${summary.pictures} pictures in ${out}/images, ${summary.split} split, style ${summary.style}`);
  print();
  const rows = Object.entries(summary.files).map(([name, entries]) => [name, String(entries)]);
  print(formatTable([{ title: 'file' }, { title: 'entries', align: 'right' }], rows));
  if (summary.painted < summary.pictures) note(`${summary.pictures - summary.painted} pictures were there already.`);
}
