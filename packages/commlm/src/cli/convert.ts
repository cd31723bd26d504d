/** `commlm convert <model> <out>`: a model of another layout as a folder of ours. */
import { type Command, Option } from 'commander';
import { CommError } from '../config/errors.js';
import { WEIGHT_FORMATS, type WeightFormat } from '../config/formats.js';
import type { ConvertReport, ConvertRequest } from '../weights/convert-model.js';
import { endAtOnce } from './interrupt.js';
import { addFolderOptions, addLoraOption, type FolderOptions } from './options.js';
import { formatBytes, formatCount, note, printJson } from './output.js';
import { Progress } from './progress.js';

interface ConvertCommandOptions extends FolderOptions {
  readonly delta?: string;
  readonly lora?: string;
  readonly recipe?: string;
  readonly clip?: string;
  readonly dinov2?: string;
  readonly llm?: string;
  readonly dtype?: WeightFormat;
  readonly json?: boolean;
}

const NOTES = `
Read are: LLaVA in the layout of the transformers library and in the original one, Shikra (a delta on a Llama), Prismatic
and nanoVLM. The weights are written one file at a time, so that the memory taken stays about 1 GB for any model.

Examples:
  commlm convert llava-hf/llava-1.5-7b-hf llava --dtype bf16
  commlm convert liuhaotian/llava-v1.5-7b llava --vision-tower openai/clip-vit-large-patch14-336
  commlm convert --base llama-7b --delta shikra-7b-delta-v1 shikra
  commlm convert llava-hf/llava-1.5-7b-hf merged --lora my-adapter
  commlm convert --recipe comm-nano nano
  commlm convert --recipe comm-7b --clip clip --dinov2 dinov2 --llm vicuna comm
  commlm convert --recipe ./my-parts.json mine   (any encoders, one or several: docs/checkpoints.md)`;

/** Adds the command `convert`. */
export function register(program: Command): void {
  const command = program
    .command('convert')
    .description('Write a model of another layout as a folder of ours.')
    .argument('<model>', 'model folder or hub id')
    .argument('[out]', 'folder to write')
    .usage('[options] <model> <out>');
  addLoraOption(addFolderOptions(command))
    .option('--delta <model>', 'a model that is stored as the difference to --base, in the place of <model>')
    .option(
      '--recipe <name>',
      'put a COMM together from published parts, in the place of <model>: comm-7b, comm-nano, or a file of your own',
    )
    .option('--clip <model>', "with --recipe: CLIP, in place of the recipe's")
    .option('--dinov2 <model>', "with --recipe: DINOv2, in place of the recipe's")
    .option('--llm <model>', "with --recipe: language model, in place of the recipe's")
    .addOption(
      new Option('--dtype <name>', 'number format of the weights (default: as they are)').choices(WEIGHT_FORMATS),
    )
    .option('--json', 'print what was written as one JSON document')
    .addHelpText('after', NOTES)
    .action(convert);
}

async function convert(first: string, second: string | undefined, options: ConvertCommandOptions): Promise<void> {
  if (options.recipe !== undefined) {
    const [{ assemble }, { floatsOnly }] = await Promise.all([
      import('./assemble.js'),
      import('../weights/convert-model.js'),
    ]);
    await assemble(options.recipe, first, second, floatsOnly(options));
    return;
  }
  refuseRecipeOptions(options);
  const request = toRequest(first, second, options);
  const { convertModel } = await import('../weights/convert-model.js');
  let progress: Progress | undefined;
  const onWeight = (done: number, total: number): void => {
    progress ??= new Progress({ label: 'converting', total, unit: 'tensors' });
    progress.update(done);
  };
  using _ending = endAtOnce();
  const report = convertModel({ ...request, onWeight });
  progress?.finish();
  if (options.json) printJson(report);
  else describe(report);
}

function refuseRecipeOptions(options: ConvertCommandOptions): void {
  const name = (['clip', 'dinov2', 'llm'] as const).find((option) => options[option] !== undefined);
  if (name === undefined) return;
  throw new CommError(`--${name} names a part of a recipe, so it needs --recipe.`, {
    code: 'cli/usage',
    fix: 'As in: commlm convert --recipe comm-nano OUT',
    exitCode: 2,
  });
}

/** With --delta the one argument is the folder to write. */
function toRequest(first: string, second: string | undefined, options: ConvertCommandOptions): ConvertRequest {
  const { delta, dtype, visionTower, base, lora } = options;
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
    dtype,
    visionTower,
    base,
    lora,
  };
}

function describe({ out, modelType, numParameters, bytes }: ConvertReport): void {
  note(`${modelType}: ${formatCount(numParameters)} parameters, ${formatBytes(bytes)}`);
  note(`written: ${out}`);
}
