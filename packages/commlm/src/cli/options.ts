/** Options that several commands share, and the parsers that turn their text into checked values. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { WEIGHT_FORMATS, type WeightFormat } from '../config/formats.js';

/** A parser of a whole number in [min, max]; a bad value is a usage error that names the range. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^-?\d+$/.test(text.trim()) || !Number.isSafeInteger(value) || value < min || value > max) {
      const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
      throw new InvalidArgumentError(`It must be a whole number ${range}.`);
    }
    return value;
  };
}

/** A parser of a real number in [min, max] (or (min, max] with `open`). */
export function realNumber(min: number, max: number, open = false): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (!Number.isFinite(value) || value > max || (open ? value <= min : value < min)) {
      throw new InvalidArgumentError(
        `It must be a number ${open ? 'above' : 'from'} ${min}${open ? ' and' : ''} to ${max}.`,
      );
    }
    return value;
  };
}

/** A parser of a list of levels: `1-24`, `0,12,-1`, `19-24`; negative levels count from the end. */
export function levelList(text: string): number[] {
  const levels: number[] = [];
  for (const part of text.split(',')) {
    const range = /^\s*(\d+)\s*-\s*(\d+)\s*$/.exec(part);
    const single = /^\s*(-?\d+)\s*$/.exec(part);
    if (range) {
      const first = Number(range[1]);
      const last = Number(range[2]);
      if (first > last || last > 1000) throw new InvalidArgumentError('A range of levels goes upwards, as in 1-24.');
      for (let level = first; level <= last; level++) levels.push(level);
    } else if (single) {
      levels.push(Number(single[1]));
    } else {
      throw new InvalidArgumentError('Levels are numbers and ranges, as in 1-24 or 0,12,-1.');
    }
  }
  if (new Set(levels).size !== levels.length) throw new InvalidArgumentError('A level is named twice.');
  return levels;
}

/** Gathers the values of an option that may be given several times; without it there is none. */
export const repeated = (value: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  value,
];

/** Folders beside the model's own. */
export interface FolderOptions {
  readonly visionTower?: readonly string[];
  readonly base?: string;
}

/** Adds `--vision-tower` and `--base` to a command. */
export function addFolderOptions(command: Command): Command {
  return command
    .option(
      '--vision-tower <model>',
      'picture encoder, for a model whose own files lack it; once for each encoder',
      repeated,
    )
    .option('--base <model>', 'language model that the files are a change of, or whose tokenizer they need');
}

/** Adds `--lora` to a command. */
export function addLoraOption(command: Command): Command {
  return command.option('--lora <adapter>', 'LoRA adapter (folder or hub id) that is merged into the weights');
}

/** Options that say which model runs, in which number format and where. */
export interface ModelOptions extends FolderOptions {
  readonly model?: string;
  readonly dtype?: WeightFormat;
  readonly device?: string;
  readonly allowUntrained?: boolean;
  readonly lora?: string;
}

/** Adds `--dtype` and `--device` to a command. */
export function addPlaceOptions(command: Command, formats: readonly WeightFormat[] = WEIGHT_FORMATS): Command {
  return command
    .addOption(
      new Option(
        '--dtype <name>',
        'number format of the weights while running (default: f32 on a CPU up to 2 billion parameters, else as stored)',
      ).choices(formats),
    )
    .addOption(new Option('--device <name>', 'where to run: cpu, cuda, cuda:1, mps').argParser(deviceName));
}

function deviceName(text: string): string {
  if (!/^(cpu|mps|cuda(:\d+)?)$/.test(text))
    throw new InvalidArgumentError('It must be cpu, cuda, cuda:<number> or mps.');
  return text;
}

/** Adds `--model`, `--dtype` and `--device` to a command. */
export function addModelOptions(command: Command): Command {
  command.option('-m, --model <folder>', 'model folder (default: the embedded models/comm-tiny)');
  command.option(
    '--allow-untrained',
    'run a model whose config.json marks parts as untrained; its answers mean nothing',
  );
  return addLoraOption(addFolderOptions(addPlaceOptions(command)));
}

/** Options of decoding, as `ask`, `chat` and `batch` take them. */
export interface DecodingOptions {
  readonly maxNewTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly stop?: string[];
  readonly system?: string;
}

/** Adds the options of decoding to a command. */
export function addDecodingOptions(command: Command): Command {
  return command
    .option('--max-new-tokens <n>', 'longest answer in tokens', wholeNumber(1))
    .option(
      '--temperature <t>',
      '0 takes the likeliest token each time (default); higher is more random',
      realNumber(0, 100),
    )
    .option(
      '--top-p <p>',
      'sample from the likeliest tokens that hold this share of the probability',
      realNumber(0, 1, true),
    )
    .option('--seed <n>', 'seed of the sampling (default: 0)', wholeNumber(0))
    .option('--stop <text...>', 'stop when the answer holds this text')
    .option('--system <text>', 'system prompt in place of the one the model was trained with');
}

/** Options of how picture files are opened. */
export interface PictureOptions {
  readonly rawOrientation?: boolean;
}

/** Adds `--raw-orientation` to a command. */
export function addPictureOptions(command: Command): Command {
  return command.option(
    '--raw-orientation',
    'leave pictures as they are stored (default: upright as their EXIF says, as viewers show them; so are boxes)',
  );
}
