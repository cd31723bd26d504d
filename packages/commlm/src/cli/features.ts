/**
 * `commlm features <picture>`: hidden states of an encoder to safetensors, and as a picture of principal components.
 */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import { CommError } from '../config/errors.js';
import { FLOAT_FORMATS, type FloatFormat } from '../config/formats.js';
import type { Features } from '../features/extract.js';
import { refuseInputAsOutput, writeDurably } from '../files/durable.js';
import { checkExtension, checkOutputFile, withOutputErrors } from './files.js';
import {
  addFolderOptions,
  addPictureOptions,
  addPlaceOptions,
  levelList,
  type ModelOptions,
  type PictureOptions,
} from './options.js';
import { linkTo, note, printJson } from './output.js';
import { checkPicturesExist, pathsOf } from './pictures.js';

interface FeaturesOptions extends Omit<ModelOptions, 'model' | 'dtype'>, PictureOptions {
  readonly dtype?: FloatFormat;
  readonly encoder?: string;
  readonly branch?: string;
  readonly levels?: number[];
  readonly out?: string;
  readonly draw?: string;
  readonly keepSpecial?: boolean;
  readonly json?: boolean;
}

/** Adds the command `features`. */
export function register(program: Command): void {
  const command = program
    .command('features')
    .description('Write the hidden states of a picture encoder.')
    .argument('<picture>', 'a file, or "-" for stdin')
    .option('--encoder <model>', 'folder of an encoder or of a whole model (default: the embedded models/comm-tiny)')
    .option(
      '--branch <name>',
      'which encoder of a whole model: clip, dinov2, or its number from 0 (default: the first)',
    )
    .option(
      '--levels <list>',
      'hidden states, as in 1-24 or 0,12,-1; 0 is the embeddings (default: every block)',
      levelList,
    )
    .option('--out <file>', 'safetensors file: level.<i>, float[1, N, D], patch tokens')
    .option('--draw <file>', 'paint the levels: first three principal components, one tile a level')
    .option('--keep-special', 'keep CLS, distillation and register tokens in front of the patches')
    .option('--json', 'print what was written as one JSON document');
  addPictureOptions(addFolderOptions(addPlaceOptions(command, FLOAT_FORMATS)));
  command
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  commlm features photo.jpg --levels 1-6 --out levels.safetensors --draw levels.png',
        '  commlm features photo.jpg --branch dinov2 --levels -1 --draw deepest.png',
      ].join('\n'),
    )
    .action((picture: string, options: FeaturesOptions) => features(picture, options));
}

async function features(path: string, options: FeaturesOptions): Promise<void> {
  const { out, draw } = options;
  if (out === undefined && draw === undefined) {
    throw new CommError('There is nothing to write.', {
      code: 'cli/usage',
      fix: 'Name --out FILE, --draw FILE, or both.',
      exitCode: 2,
    });
  }
  if (draw !== undefined) {
    checkExtension(draw, ['.png']);
    checkOutputFile(draw);
    if (options.keepSpecial) {
      throw new CommError('--draw paints patches, so it does not go with --keep-special.', {
        code: 'cli/usage',
        exitCode: 2,
      });
    }
  }
  if (out !== undefined) {
    checkExtension(out, ['.safetensors']);
    checkOutputFile(out);
  }
  checkPicturesExist([path]);
  const { extractFeatures } = await import('../features/extract.js');
  const { resolveModelFolder } = await import('../hub/model-folder.js');
  for (const file of [out, draw]) {
    if (file !== undefined)
      refuseInputAsOutput(file, [...pathsOf([path]), ...filesIn(resolveModelFolder(options.encoder))]);
  }
  const { encoder, branch, levels, keepSpecial, dtype, device, visionTower, base, rawOrientation } = options;
  const chosen = { encoder, branch, levels, keepSpecial, dtype, device, visionTower, base, rawOrientation };
  const result = await extractFeatures(path, chosen);
  try {
    if (out !== undefined) await write(out, path === '-' ? 'stdin' : path, result);
    if (draw !== undefined) await paint(draw, result);
    report(result, options);
  } finally {
    for (const level of result.levels.values()) level.dispose();
  }
}

/** The files that an encoder is read from. */
function filesIn(folder: string): string[] {
  return readdirSync(folder).map((name) => join(folder, name));
}

async function write(out: string, name: string, { levels, grid, encoder, numSpecial }: Features): Promise<void> {
  const { io, scope } = await import('@commlm/torch');
  const metadata = {
    picture: basename(name),
    encoder,
    grid: grid.join('x'),
    special_tokens: String(numSpecial),
    levels: [...levels.keys()].join(','),
  };
  const states = [...levels].map(([level, state]) => [`level.${level}`, state] as const);
  withOutputErrors(out, () => scope(() => io.writeSafetensors(out, states, metadata)));
}

async function paint(draw: string, { levels, grid, encoder }: Features): Promise<void> {
  const { paintLevels, tilesPerRow } = await import('../features/paint.js');
  const { encodePicture } = await import('../images/draw.js');
  const labels = [...levels.keys()].map((level) => `${encoder} level ${level}`);
  writeDurably(draw, await encodePicture(await paintLevels([...levels.values()], grid, labels)));
  const names = [...levels.keys()];
  const perRow = tilesPerRow(names.length);
  const rows = Array.from({ length: Math.ceil(names.length / perRow) }, (_, i) =>
    names.slice(i * perRow, (i + 1) * perRow),
  );
  note(`tiles: levels ${rows.map((row) => row.join(' ')).join(' | ')}`);
}

function report({ levels, grid, encoder }: Features, { out, draw, json }: FeaturesOptions): void {
  const shape = [...levels.values()][0]?.shape ?? [];
  if (json) {
    printJson({
      encoder,
      levels: [...levels.keys()],
      grid,
      shape,
      out,
      draw,
    });
    return;
  }
  for (const file of [out, draw]) if (file !== undefined) note(`written: ${linkTo(process.stderr, file)}`);
  note(
    `${encoder}: ${levels.size} ${levels.size === 1 ? 'level' : 'levels'}, float[${shape.join(', ')}] each, ${grid.join(' x ')} patches`,
  );
}
