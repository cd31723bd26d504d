/** `commlm chat [picture]`: a conversation in the terminal. Ctrl-C stops an answer; at rest it leaves, at a terminal when pressed twice. */

import { extname } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Command } from 'commander';
import { CommError } from '../config/errors.js';
import { refuseInputAsOutput, writeDurably } from '../files/durable.js';
import type { Answer } from '../generate/answer.js';
import type { ChatSession } from '../generate/chat.js';
import type { RgbImage } from '../images/decode.js';
import { completeLine } from './complete-line.js';
import { describeAnswer } from './describe-answer.js';
import { checkExtension, checkOutputFile } from './files.js';
import { hintFor, introduction, type KnownThings, readKnownThings } from './known-things.js';
import { openSession } from './open-session.js';
import {
  addDecodingOptions,
  addModelOptions,
  addPictureOptions,
  type DecodingOptions,
  type ModelOptions,
  type PictureOptions,
} from './options.js';
import { answerFor, isInteractive, linkTo, note, print, styleOf } from './output.js';
import { checkPicturesExist, pathsOf } from './pictures.js';
import { printable } from './terminal-text.js';

interface ChatOptions extends ModelOptions, DecodingOptions, PictureOptions {}

const HELP = [
  '/image <file>   add a picture; it goes with your next message',
  '/draw [file]    write the last picture with the boxes of the last answer (default: comm-boxes.png)',
  '/reset          forget the conversation and its pictures',
  '/help           this list',
  '/quit           leave (also Ctrl-D)',
  'Tab completes commands and paths.',
  'Ctrl-C stops an answer and takes the message back: its pictures go with the next one. Twice at rest, it leaves.',
].join('\n');

/** Adds the command `chat`. */
export function register(program: Command): void {
  const command = program
    .command('chat')
    .description('Talk about pictures in the terminal.')
    .argument('[picture]', 'the first picture');
  addPictureOptions(addDecodingOptions(addModelOptions(command)));
  command
    .addHelpText(
      'after',
      [
        '',
        'In the conversation:',
        HELP,
        '',
        'Examples:',
        '  commlm chat photo.jpg',
        '  commlm chat --temperature 0.7 --seed 3',
      ].join('\n'),
    )
    .action((picture: string | undefined, options: ChatOptions) => chat(picture, options));
}

async function chat(picture: string | undefined, options: ChatOptions): Promise<void> {
  if (picture === '-') {
    throw stdinIsTaken();
  }
  if (picture !== undefined) checkPicturesExist([picture]);
  const { decodeImage } = await import('../images/decode.js');
  const { rawOrientation = false } = options;
  const first = picture === undefined ? undefined : await decodeImage(picture, { rawOrientation });
  const { resolveModelFolder } = await import('../hub/model-folder.js');
  const known = readKnownThings(resolveModelFolder(options.model));
  if (known !== undefined) note(styleOf(process.stderr).dim(printable(introduction(known))));
  using session = await openSession(options);
  using conversation = session.chat({ system: options.system });
  const terminal = new Terminal(conversation, options, known);
  if (picture !== undefined && first !== undefined) terminal.addPicture(picture, first);
  note(styleOf(process.stderr).dim(`${printable(session.name)}. /help lists the commands, /quit leaves.`));
  await terminal.run();
}

function stdinIsTaken(): CommError {
  return new CommError('chat reads your messages from stdin, so the picture cannot come from there.', {
    code: 'cli/stdin',
    fix: 'Name a file.',
    exitCode: 2,
  });
}

/** The loop of prompt, message and answer. */
class Terminal {
  readonly #chat: ChatSession;
  readonly #options: ChatOptions;
  readonly #lines: Interface;
  readonly #style = styleOf();
  /** Every picture that was named, also before a reset: none of them is drawn onto. */
  readonly #pictures: string[] = [];
  /** The picture that the next answer's boxes are on: the first one of the last message that brought some. */
  #picture: RgbImage | undefined;
  /** Pictures wait for the next message. */
  #isPending = false;
  #lastAnswer: Answer | undefined;
  #stop: AbortController | undefined;
  readonly #isInteractive: boolean;
  /** Ctrl-C was pressed at rest; any line takes it back. */
  #isLeaving = false;
  readonly #known: KnownThings | undefined;

  constructor(chat: ChatSession, options: ChatOptions, known: KnownThings | undefined) {
    this.#chat = chat;
    this.#options = options;
    this.#known = known;
    const interactive = isInteractive(process.stdout) && process.stdin.isTTY === true;
    this.#isInteractive = interactive;
    this.#lines = createInterface({
      input: process.stdin,
      output: interactive ? process.stdout : undefined,
      terminal: interactive,
      prompt: interactive ? this.#style.bold('> ') : '',
      completer: completeLine,
    });
  }

  addPicture(name: string, picture: RgbImage): void {
    this.#chat.addImage(picture);
    this.#pictures.push(name);
    if (!this.#isPending) this.#picture = picture;
    this.#isPending = true;
    this.#lastAnswer = undefined;
  }

  async run(): Promise<void> {
    // On a terminal readline takes Ctrl-C itself; without one the process gets the signal.
    const onInterrupt = (): void => this.#interrupt();
    this.#lines.on('SIGINT', onInterrupt);
    const others = process.listeners('SIGINT');
    process.removeAllListeners('SIGINT').on('SIGINT', onInterrupt);
    try {
      this.#lines.prompt();
      for await (const line of this.#lines) {
        this.#isLeaving = false;
        if ((await this.#handle(line.trim())) === 'quit') break;
        this.#lines.prompt();
      }
    } finally {
      this.#lines.close();
      process.removeAllListeners('SIGINT');
      for (const listener of others) process.on('SIGINT', listener as () => void);
    }
  }

  /** Stops an answer; at rest it leaves, at a terminal the second time: what is typed is easily lost. */
  #interrupt(): void {
    if (this.#stop && !this.#stop.signal.aborted) {
      this.#stop.abort();
      return;
    }
    if (this.#isInteractive && this.#stop === undefined && !this.#isLeaving) {
      this.#isLeaving = true;
      // Ctrl-E, Ctrl-U: readline forgets what was typed.
      this.#lines.write(null, { ctrl: true, name: 'e' });
      this.#lines.write(null, { ctrl: true, name: 'u' });
      note(`\n${styleOf(process.stderr).dim('Press Ctrl-C again to leave.')}`);
      this.#lines.prompt();
      return;
    }
    this.#lines.close();
    process.exit(130);
  }

  async #handle(line: string): Promise<'quit' | undefined> {
    if (line === '') return undefined;
    if (line === '/quit' || line === '/exit') return 'quit';
    try {
      if (line.startsWith('/')) await this.#command(line);
      else await this.#say(line);
    } catch (error) {
      // A slip in a conversation is no reason to end it.
      if (!(error instanceof CommError)) throw error;
      note(`${styleOf(process.stderr).red('error:')} ${printable(`${error.message} ${error.fix ?? ''}`).trimEnd()}`);
    }
    return undefined;
  }

  async #command(line: string): Promise<void> {
    const [name = '', ...rest] = line.split(/\s+/);
    const argument = line.slice(name.length).trim();
    switch (name) {
      case '/help':
        print(HELP);
        return;
      case '/reset':
        this.#chat.reset();
        this.#lastAnswer = undefined;
        this.#picture = undefined;
        this.#isPending = false;
        note('The conversation is empty again.');
        return;
      case '/image': {
        if (rest.length === 0)
          throw new CommError('/image needs a file.', { code: 'cli/chat', fix: 'As in: /image photo.jpg' });
        if (argument === '-') throw stdinIsTaken();
        checkPicturesExist([argument]);
        const { decodeImage } = await import('../images/decode.js');
        const { rawOrientation = false } = this.#options;
        this.addPicture(argument, await decodeImage(argument, { rawOrientation }));
        note('The picture goes with your next message.');
        return;
      }
      case '/draw':
        await this.#draw(argument === '' ? 'comm-boxes.png' : argument);
        return;
      default:
        throw new CommError(`There is no command ${name}.`, { code: 'cli/chat', fix: '/help lists the commands.' });
    }
  }

  async #draw(path: string): Promise<void> {
    if (!this.#picture || !this.#lastAnswer) {
      throw new CommError('There is no picture with an answer to draw yet.', {
        code: 'cli/chat',
        fix: 'Ask about a picture first.',
      });
    }
    checkExtension(path, ['.png', '.jpg', '.jpeg', '.webp']);
    checkOutputFile(path);
    refuseInputAsOutput(path, pathsOf(this.#pictures));
    if (this.#lastAnswer.boxes.length === 0) {
      const ask = '"Find the dog in the image." asks for one';
      note(styleOf(process.stderr).yellow(`nothing drawn: the last answer has no boxes (${ask})`));
      return;
    }
    const { drawBoxes } = await import('../images/draw.js');
    writeDurably(path, await drawBoxes(this.#picture, this.#lastAnswer.boxes, { format: extname(path).slice(1) }));
    note(`drawn: ${linkTo(process.stderr, path)}`);
  }

  async #say(text: string): Promise<void> {
    const style = styleOf(process.stderr);
    if (this.#picture === undefined)
      note(style.yellow('There is no picture yet, so the answer is about none; /image <file> adds one.'));
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const numTurns = this.#chat.turns.length;
    const { maxNewTokens, temperature, topP, seed, stop } = this.#options;
    try {
      const stream = this.#chat.say(text, { maxNewTokens, temperature, topP, seed, stop, signal });
      let step = await stream.next();
      for (; !step.done; step = await stream.next()) process.stdout.write(answerFor(process.stdout, step.value.text));
      this.#lastAnswer = step.value;
      this.#isPending = false;
      print();
      describeAnswer(step.value);
      const hint = this.#known && hintFor(text, this.#known);
      if (hint !== undefined) note(style.yellow(printable(hint)));
    } catch (error) {
      if (!signal.aborted) throw error;
      if (this.#chat.turns.length > numTurns) this.#chat.takeBack();
      print(this.#style.dim(this.#isPending ? ' [stopped; the picture goes with your next message]' : ' [stopped]'));
    } finally {
      this.#stop = undefined;
    }
  }
}
