/**
 * `commlm ask <picture...> <question>`: one question about one picture, several pictures together, or a folder of them.
 */
import { basename, dirname, extname, join } from 'node:path';
import type { Command } from 'commander';
import { CommError } from '../config/errors.js';
import { makeFolder, refuseInputAsOutput, writeDurably } from '../files/durable.js';
import type { Answer, AskRequest } from '../generate/answer.js';
import type { RgbImage } from '../images/decode.js';
import { describeAnswer } from './describe-answer.js';
import { checkExtension, checkOutputFile } from './files.js';
import { interruptSignal } from './interrupt.js';
import { hintFor, introduction, readKnownThings } from './known-things.js';
import { openSession } from './open-session.js';
import {
  addDecodingOptions,
  addModelOptions,
  addPictureOptions,
  type DecodingOptions,
  type ModelOptions,
  type PictureOptions,
} from './options.js';
import { answerFor, formatDuration, isInteractive, linkTo, note, print, printJson, styleOf } from './output.js';
import { checkOrder, checkPicturesExist, isFolder, pathsOf, picturesIn } from './pictures.js';
import { Progress } from './progress.js';
import { printable } from './terminal-text.js';

const DRAW_EXTENSIONS = ['.png', '.jpg', '.jpeg', '.webp'];

interface AskOptions extends ModelOptions, DecodingOptions, PictureOptions {
  readonly draw?: string;
  readonly json?: boolean;
  readonly tokens?: boolean;
}

/** Adds the command `ask`. */
export function register(program: Command): void {
  const command = program
    .command('ask')
    .description('Answer a question about one or more pictures.')
    .argument('<picture-or-question...>', 'pictures ("-" is stdin), then the question')
    .usage('[options] <picture...> <question>')
    .option(
      '--draw <file>',
      'write the picture with the boxes of the answer drawn (a folder when asking about a folder)',
    )
    .option('--json', 'print one JSON document in place of text')
    .option('--tokens', 'add the ids of the answer to the JSON');
  addPictureOptions(addDecodingOptions(addModelOptions(command)));
  command
    .addHelpText(
      'after',
      [
        '',
        'Several pictures are one question about all of them: they stand in front of the question, or where the question',
        'says <image>. A folder is one answer for each picture in it. Boxes of an answer about several pictures are in the',
        'frame of the first one.',
        '',
        'Examples:',
        '  commlm ask photo.jpg "Is there a dog in the image?"',
        '  commlm ask photo.jpg "Find the car on the left." --draw boxes.png',
        '  commlm ask first.jpg second.jpg "What is in the second picture?"',
        '  commlm ask photos/ "What is in the image?" --json > answers.json',
        '  cat photo.jpg | commlm ask - "How many cars are there?"',
        '"Where is ...?" is answered with a side, "Find ..." with a box.',
      ].join('\n'),
    )
    .action((args: string[], options: AskOptions) => ask(args, options));
}

async function ask(args: readonly string[], options: AskOptions): Promise<void> {
  const { pictures, question } = splitArguments(args);
  checkOrder(args);
  checkPicturesExist(pictures);
  const folder = pictures.find(isFolder);
  if (folder !== undefined && pictures.length > 1) {
    throw new CommError('A folder cannot be mixed with other pictures.', {
      code: 'cli/mixed-pictures',
      fix: 'Name one folder (one answer for each picture in it), or only files (one question about all of them).',
      exitCode: 2,
    });
  }
  if (options.tokens && !options.json) {
    throw new CommError('--tokens adds to the JSON, so it needs --json.', { code: 'cli/tokens', exitCode: 2 });
  }
  if (folder === undefined) await askTogether(pictures, question, options);
  else await askEach(picturesIn(folder), question, options);
}

function splitArguments(args: readonly string[]): { pictures: string[]; question: string } {
  const question = args.at(-1) ?? '';
  const pictures = args.slice(0, -1);
  if (pictures.length === 0) {
    throw new CommError('A picture and a question are needed.', {
      code: 'cli/usage',
      fix: 'As in: commlm ask photo.jpg "Is there a dog in the image?"',
      exitCode: 2,
    });
  }
  if (question.trim() === '') {
    throw new CommError('The question is empty.', {
      code: 'cli/usage',
      fix: 'The question comes last, in quotes.',
      exitCode: 2,
    });
  }
  return { pictures, question };
}

function toRequest(question: string, images: readonly RgbImage[], options: AskOptions): AskRequest {
  const { maxNewTokens, temperature, topP, seed, stop, system } = options;
  return { question, images, maxNewTokens, temperature, topP, seed, stop, system };
}

/** All pictures in one question; the answer streams to stdout. */
async function askTogether(paths: readonly string[], question: string, options: AskOptions): Promise<void> {
  if (options.draw !== undefined) {
    checkExtension(options.draw, DRAW_EXTENSIONS);
    checkOutputFile(options.draw);
    refuseInputAsOutput(options.draw, pathsOf(paths));
  }
  // Decoding first: a broken picture is reported before a model is loaded for it.
  const { decodeImage } = await import('../images/decode.js');
  const images = await Promise.all(paths.map((path) => decodeImage(path, toPictureOptions(options))));
  const hint = await introduce(question, options);
  using session = await openSession(options);
  const stream = session.askStream(toRequest(question, images, options), { signal: interruptSignal() });
  let step = await stream.next();
  for (; !step.done; step = await stream.next())
    if (!options.json) process.stdout.write(answerFor(process.stdout, step.value.text));
  const answer = step.value;
  if (!options.json) {
    print();
    describeAnswer(answer);
    describeTimes(answer);
    if (hint !== undefined) note(styleOf(process.stderr).yellow(printable(hint)));
  }
  const drawn = options.draw === undefined ? undefined : await draw(images[0]!, answer, options.draw, options);
  if (options.json) printJson({ ...toJson(answer, options), drawn, hint });
}

/** Says what the model knows, where it says so itself; gives the hint that belongs to the question. */
async function introduce(question: string, { model, json }: AskOptions): Promise<string | undefined> {
  const { resolveModelFolder } = await import('../hub/model-folder.js');
  const known = readKnownThings(resolveModelFolder(model));
  if (known === undefined) return undefined;
  if (!json) note(styleOf(process.stderr).dim(printable(introduction(known))));
  return hintFor(question, known);
}

/** One answer for each picture of a folder. */
async function askEach(paths: readonly string[], question: string, options: AskOptions): Promise<void> {
  const { decodeImage } = await import('../images/decode.js');
  const drawFolder = options.draw;
  if (drawFolder !== undefined && extname(drawFolder) !== '') {
    throw new CommError(`--draw ${drawFolder} must name a folder when asking about a folder.`, {
      code: 'cli/output',
      exitCode: 2,
    });
  }
  const drawings = drawFolder === undefined ? undefined : drawingsIn(drawFolder, paths);
  const hint = await introduce(question, options);
  if (hint !== undefined && !options.json) note(styleOf(process.stderr).yellow(printable(hint)));
  using session = await openSession(options);
  const progress = new Progress({ label: 'asking', total: paths.length, unit: 'pictures' });
  const style = styleOf();
  const results: object[] = [];
  let numFailed = 0;
  for (const [i, path] of paths.entries()) {
    try {
      const image = await decodeImage(path, toPictureOptions(options));
      const answer = await session.ask(toRequest(question, [image], options), { signal: interruptSignal() });
      if (!options.json) print(`${style.bold(`${printable(path)}:`)} ${answerFor(process.stdout, answer.answer)}`);
      const drawn = drawings === undefined ? undefined : await draw(image, answer, drawings[i]!, options);
      results.push({ picture: path, ...toJson(answer, options), drawn, hint });
    } catch (error) {
      if (!(error instanceof CommError) || error.exitCode === 130) throw error;
      numFailed++;
      results.push({ picture: path, error: error.message });
      progress.note(printable(`${path}: ${error.message}`));
    }
    progress.update(i + 1);
  }
  progress.finish();
  if (options.json) printJson(results);
  if (numFailed > 0) {
    throw new CommError(`${numFailed} of ${paths.length} pictures could not be answered.`, {
      code: 'cli/some-failed',
      fix: 'The lines above say why for each of them.',
    });
  }
}

/** The files to draw into, one a picture: `a.png`, or `a.jpg.png` where two pictures would share it. */
function drawingsIn(folder: string, paths: readonly string[]): string[] {
  // Drawings among the pictures would be asked about in the next run.
  refuseInputAsOutput(folder, [...new Set(paths.map((path) => dirname(path)))]);
  makeFolder(folder);
  const stems = paths.map((path) => basename(path, extname(path)));
  const drawings = paths.map((path, i) => {
    const isShared = stems.some((stem, j) => j !== i && stem.toLowerCase() === stems[i]?.toLowerCase());
    return join(folder, `${isShared ? basename(path) : stems[i]}.png`);
  });
  for (const drawing of drawings) refuseInputAsOutput(drawing, paths);
  return drawings;
}

const toPictureOptions = ({ rawOrientation = false }: AskOptions): { rawOrientation: boolean } => ({ rawOrientation });

function toJson(answer: Answer, options: AskOptions): object {
  const { tokens, ...rest } = answer;
  return options.tokens ? { ...rest, tokens } : rest;
}

/** Tokens and times, for a person at a terminal. */
function describeTimes({ usage, timings }: Answer): void {
  if (!isInteractive(process.stderr)) return;
  const { loadMs, visionMs, prefillMs, decodeMs } = timings;
  const rate = decodeMs > 0 ? `, ${((1000 * (usage.completionTokens - 1)) / decodeMs).toFixed(0)} tokens/s` : '';
  const total = formatDuration(loadMs + visionMs + prefillMs + decodeMs);
  note(styleOf(process.stderr).dim(`  ${usage.promptTokens} + ${usage.completionTokens} tokens in ${total}${rate}`));
}

/** Writes the picture with the boxes of the answer; an answer without boxes writes nothing and says so (null). */
async function draw(image: RgbImage, { boxes }: Answer, path: string, { json }: AskOptions): Promise<string | null> {
  const style = styleOf(process.stderr);
  if (boxes.length === 0) {
    if (!json) note(style.yellow('nothing drawn: the answer has no boxes ("Find the dog in the image." asks for one)'));
    return null;
  }
  const { drawBoxes } = await import('../images/draw.js');
  writeDurably(path, await drawBoxes(image, boxes, { format: extname(path).slice(1) }));
  if (!json) note(`${style.green('drawn:')} ${linkTo(process.stderr, path)}`);
  return path;
}
