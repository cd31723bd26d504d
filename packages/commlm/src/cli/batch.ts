/** `commlm batch <in.jsonl> <out.jsonl>`: many questions, resumable, answers in order. */

import type { Command } from 'commander';
import type { BatchAnswerer } from '../generate/answer.js';
import type { AnswerFileOptions, AnswerFileSummary } from '../generate/answer-file.js';
import type { CommSession } from '../generate/session.js';
import { checkOutputFile } from './files.js';
import { interruptSignal } from './interrupt.js';
import { openSession } from './open-session.js';
import {
  addDecodingOptions,
  addModelOptions,
  addPictureOptions,
  type DecodingOptions,
  type ModelOptions,
  type PictureOptions,
  wholeNumber,
} from './options.js';
import { counted, note, printJson } from './output.js';
import { Progress } from './progress.js';
import { printable } from './terminal-text.js';

interface BatchCommandOptions extends ModelOptions, DecodingOptions, PictureOptions {
  readonly batchSize: number;
  readonly tokens?: boolean;
  readonly redoFailed?: boolean;
  readonly json?: boolean;
}

/** Adds the command `batch`. */
export function register(program: Command): void {
  const command = program
    .command('batch')
    .description('Answer a file of questions, one JSON object a line: {"id", "image", "question"}.')
    .argument('<in.jsonl>', 'questions; "image" is a path beside this file, "images" a list of them')
    .argument('<out.jsonl>', 'answers in the same order: the object of "ask --json" plus "id"')
    .option('--batch-size <n>', 'questions answered together', wholeNumber(1, 4096), 8)
    .option('--tokens', 'add the ids of each answer')
    .option('--redo-failed', 'ask again what failed; those lines may have been mended or removed in between')
    .option('--json', 'print a summary of the run as one JSON document');
  addPictureOptions(addDecodingOptions(addModelOptions(command)));
  command
    .addHelpText(
      'after',
      [
        '',
        'A run that was stopped goes on where it ended: give the same command again. A line that cannot be answered gets',
        '{"id", "error"}, the rest goes on and the exit code is 1; mend it and add --redo-failed, which keeps all answers.',
        'A line may have a "system" of its own; ids come back as they were written.',
        'What the answers belong to stands in <out.jsonl>.run.jsonl; with other questions, pictures, settings or another',
        'model the output is not gone on with.',
        '',
        'Example:',
        '  commlm batch questions.jsonl answers.jsonl --batch-size 16',
      ].join('\n'),
    )
    .action((input: string, output: string, options: BatchCommandOptions) => batch(input, output, options));
}

/** A model that is loaded with the first question; a run that has none to ask is done without it. */
class LateModel implements BatchAnswerer, Disposable {
  readonly identity: () => object;
  readonly #options: BatchCommandOptions;
  #session: CommSession | undefined;

  constructor(options: BatchCommandOptions, identity: object) {
    this.#options = options;
    this.identity = () => identity;
  }

  readonly askBatch: BatchAnswerer['askBatch'] = async (requests, options) => {
    this.#session ??= await openSession(this.#options);
    return this.#session.askBatch(requests, options);
  };

  [Symbol.dispose](): void {
    this.#session?.dispose();
  }
}

function settingsOf(options: BatchCommandOptions): AnswerFileOptions {
  const { maxNewTokens, temperature, topP, seed, stop, system, rawOrientation, batchSize, tokens, redoFailed } =
    options;
  return { maxNewTokens, temperature, topP, seed, stop, system, rawOrientation, batchSize, tokens, redoFailed };
}

async function batch(input: string, output: string, options: BatchCommandOptions): Promise<void> {
  checkOutputFile(output);
  const [{ answerFile, planAnswerFile }, { modelIdentity }] = await Promise.all([
    import('../generate/answer-file.js'),
    import('../generate/model-identity.js'),
  ]);
  const identity = modelIdentity(options.model, options);
  const settings = settingsOf(options);
  const { numTotal, numDone, numFailed } = await planAnswerFile(input, output, identity, settings);
  if (numDone > 0) note(printable(`${output} holds ${numDone} of ${counted(numTotal, 'line')} already.`));
  // A redo may have lines to take out even where it has none to ask.
  if (numDone === numTotal && numTotal > 0 && !options.redoFailed) {
    report(output, { numLines: numTotal, numResumed: numDone, numAnswered: 0, numFailed }, options);
    return;
  }
  using model = new LateModel(options, identity);
  const progress = new Progress({ label: 'answering', total: numTotal, unit: 'questions', start: numDone });
  const summary = await answerFile(model, input, output, {
    ...settings,
    signal: interruptSignal(),
    onProgress: (done) => progress.update(done),
  });
  progress.finish();
  report(output, summary, options);
}

/** What the output holds now; a line that failed, in this run or an earlier one, is exit code 1. */
function report(output: string, summary: AnswerFileSummary, { json }: BatchCommandOptions): void {
  const { numLines, numFailed } = summary;
  if (numFailed > 0) {
    const held = `${counted(numLines - numFailed, 'answer')}, ${counted(numFailed, 'failed line')}`;
    const them = numFailed === 1 ? 'which holds' : 'which hold';
    const mend = `mend ${numFailed === 1 ? 'it' : 'them'} and add --redo-failed`;
    note(printable(`${held}, ${them} an "error" in ${output}; ${mend}.`));
    process.exitCode = 1;
  }
  if (json) printJson({ output, ...summary });
}
