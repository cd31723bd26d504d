// `commlm chat [picture]`: a conversation in the terminal. Ctrl-C stops an answer, a second one (or one at rest) leaves.

import { extname } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Command } from 'commander';
import { CommError } from '../config/errors.js';
import { refuseInputAsOutput, writeDurably } from '../files/durable.js';
import type { Answer } from '../generate/answer.js';
import type { ChatSession } from '../generate/chat.js';
import type { RgbImage } from '../images/decode.js';
import { checkExtension, checkOutputFile } from './files.js';
import {
  addDecodingOptions,
  addModelOptions,
  addPictureOptions,
  type DecodingOptions,
  type ModelOptions,
  type PictureOptions,
} from './options.js';
import { answerFor, isInteractive, note, print, styleOf } from './output.js';
import { checkPicturesExist, pathsOf } from './pictures.js';
import { printable } from './terminal-text.js';

interface ChatOptions extends ModelOptions, DecodingOptions, PictureOptions {}

const HELP = [
  '/image <file>   add a picture; it goes with your next message',
  '/draw <file>    write the last picture with the boxes of the last answer',
  '/reset          forget the conversation and its pictures',
  '/help           this list',
  '/quit           leave (also Ctrl-D)',
  'Ctrl-C stops an answer; a second Ctrl-C leaves.',
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
  const { loadModel } = await import('../generate/session.js');
  using session = await loadModel(options.model, { ...options, onNote: (line) => note(printable(line)) });
  using conversation = session.chat(options.system === undefined ? {} : { system: options.system });
  const terminal = new Terminal(conversation, options);
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
  #lastPicture: RgbImage | undefined;
  #lastAnswer: Answer | undefined;
  #stop: AbortController | undefined;

  constructor(chat: ChatSession, options: ChatOptions) {
    this.#chat = chat;
    this.#options = options;
    const interactive = isInteractive(process.stdout) && process.stdin.isTTY === true;
    this.#lines = createInterface({
      input: process.stdin,
      ...(interactive ? { output: process.stdout } : {}),
      terminal: interactive,
      prompt: interactive ? this.#style.bold('> ') : '',
    });
  }

  addPicture(name: string, picture: RgbImage): void {
    this.#chat.addImage(picture);
    this.#pictures.push(name);
    this.#lastPicture = picture;
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
        if ((await this.#handle(line.trim())) === 'quit') break;
        this.#lines.prompt();
      }
    } finally {
      this.#lines.close();
      process.removeAllListeners('SIGINT');
      for (const listener of others) process.on('SIGINT', listener as () => void);
    }
  }

  #interrupt(): void {
    if (this.#stop && !this.#stop.signal.aborted) this.#stop.abort();
    else {
      this.#lines.close();
      process.exit(130);
    }
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
        this.#lastPicture = undefined;
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
    if (!this.#lastPicture || !this.#lastAnswer) {
      throw new CommError('There is no picture with an answer to draw yet.', {
        code: 'cli/chat',
        fix: 'Ask about a picture first.',
      });
    }
    checkExtension(path, ['.png', '.jpg', '.jpeg', '.webp']);
    checkOutputFile(path);
    refuseInputAsOutput(path, pathsOf(this.#pictures));
    const { drawBoxes } = await import('../images/draw.js');
    writeDurably(path, await drawBoxes(this.#lastPicture, this.#lastAnswer.boxes, { format: extname(path).slice(1) }));
    note(printable(`drawn: ${path}`));
  }

  async #say(text: string): Promise<void> {
    this.#stop = new AbortController();
    const { maxNewTokens, temperature, topP, seed, stop } = this.#options;
    try {
      const stream = this.#chat.say(text, {
        ...(maxNewTokens === undefined ? {} : { maxNewTokens }),
        ...(temperature === undefined ? {} : { temperature }),
        ...(topP === undefined ? {} : { topP }),
        ...(seed === undefined ? {} : { seed }),
        ...(stop === undefined ? {} : { stop }),
        signal: this.#stop.signal,
      });
      let step = await stream.next();
      for (; !step.done; step = await stream.next()) process.stdout.write(answerFor(process.stdout, step.value.text));
      this.#lastAnswer = step.value;
      print();
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
      print(this.#style.dim(' [stopped]'));
    } finally {
      this.#stop = undefined;
    }
  }
}
