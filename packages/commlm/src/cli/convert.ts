// `commlm convert <model> <out>`: a model of another layout as a folder of ours.
import { type Command, Option } from 'commander';
import { CommError } from '../config/errors.js';
import type { ConvertReport, ConvertRequest } from '../generate/convert.js';
import { addFolderOptions, FORMATS, type FolderOptions, type Format } from './options.js';
import { formatBytes, formatCount, note, printJson } from './output.js';
import { Progress } from './progress.js';

interface ConvertCommandOptions extends FolderOptions {
  readonly delta?: string;
  readonly dtype?: Format;
  readonly json?: boolean;
}

const NOTES = `
Read are: LLaVA in the layout of the transformers library and in the original one, Shikra (a delta on a Llama), Prismatic
and nanoVLM. The weights are written one file at a time, so that the memory taken stays about 1 GB for any model.

Examples:
  commlm convert llava-hf/llava-1.5-7b-hf llava --dtype bf16
  commlm convert liuhaotian/llava-v1.5-7b llava --vision-tower openai/clip-vit-large-patch14-336
  commlm convert --base llama-7b --delta shikra-7b-delta-v1 shikra`;

/** Adds the command `convert`. */
export function register(program: Command): void {
  const command = program
    .command('convert')
    .description('Write a model of another layout as a folder of ours.')
    .argument('<model>', 'model folder or hub id')
    .argument('[out]', 'folder to write')
    .usage('[options] <model> <out>');
  addFolderOptions(command)
    .option('--delta <model>', 'a model that is stored as the difference to --base, in the place of <model>')
    .addOption(new Option('--dtype <name>', 'number format of the weights (default: as they are)').choices(FORMATS))
    .option('--json', 'print what was written as one JSON document')
    .addHelpText('after', NOTES)
    .action(convert);
}

async function convert(first: string, second: string | undefined, options: ConvertCommandOptions): Promise<void> {
  const request = toRequest(first, second, options);
  const { convertModel } = await import('../generate/convert.js');
  let progress: Progress | undefined;
  const onWeight = (done: number, total: number): void => {
    progress ??= new Progress({ label: 'converting', total, unit: 'tensors' });
    progress.update(done);
  };
  const report = convertModel({ ...request, onWeight });
  progress?.finish();
  if (options.json) printJson(report);
  else describe(report);
}

/** With --delta the one argument is the folder to write. */
function toRequest(first: string, second: string | undefined, options: ConvertCommandOptions): ConvertRequest {
  const { delta, dtype, visionTower, base } = options;
  const [model, out] = delta === undefined ? [first, second] : [delta, first];
  if (out === undefined || (delta !== undefined && second !== undefined)) {
    throw new CommError('A model and a folder to write are needed.', {
      code: 'cli/usage',
      fix: 'As in: commlm convert MODEL OUT, or: commlm convert --base BASE --delta DELTA OUT',
      exitCode: 2,
    });
  }
  if (delta !== undefined && base === undefined) {
    throw new CommError('--delta is a difference to another model, which --base has to name.', {
      code: 'cli/usage',
      fix: 'Add --base FOLDER, the model that it was made from.',
      exitCode: 2,
    });
  }
  return {
    model,
    out,
    ...(dtype === undefined ? {} : { dtype }),
    ...(visionTower === undefined ? {} : { visionTower }),
    ...(base === undefined ? {} : { base }),
  };
}

function describe({ out, modelType, numParameters, bytes }: ConvertReport): void {
  note(`${modelType}: ${formatCount(numParameters)} parameters, ${formatBytes(bytes)}`);
  note(`written: ${out}`);
}
