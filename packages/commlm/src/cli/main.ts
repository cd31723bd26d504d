/** Entry of the command line: picks the command, loads its module alone, turns errors into sentences and exit codes. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { CommError } from '../config/errors.js';
import { nearestName } from '../config/json.js';
import { missingDevice } from '../config/missing-device.js';
import { COMMANDS, type CommandEntry } from './commands.js';
import { listenForInterrupt } from './interrupt.js';
import { hasPrintedJson, printJson, styleOf } from './output.js';
import { printable } from './terminal-text.js';

/** Version of the package, from its package.json. */
function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function createProgram(): Command {
  const program: Command = new Command('commlm');
  program
    .description('Run, study, train and evaluate COMM: multi-modal language models with fused visual encoders.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .addOption(new Option('--debug', 'show stack traces of errors'))
    .configureHelp({
      showGlobalOptions: true,
      // Those of the program, which lists them as its own; a subcommand does not share the options of its command.
      visibleGlobalOptions: (command) => (command === program ? [] : [...program.options]),
    })
    .enablePositionalOptions()
    .showHelpAfterError(false)
    .exitOverride();
  program.configureOutput({ outputError: () => {} });
  // A model named by its hub id is downloaded before the command that wants it runs.
  program.hook('preAction', async (_program, action) => (await import('./pull.js')).downloadNamedModels(action));
  return program;
}

function addSummaries(program: Command): void {
  for (const { name, summary } of COMMANDS) program.command(name).description(summary);
  program.addHelpText(
    'after',
    [
      '',
      'Examples:',
      '  commlm ask photo.jpg "Is there a dog in the image?"',
      '  commlm ask photo.jpg "Find the dog in the image." --draw boxes.png',
      '  commlm chat photo.jpg',
      '',
      'Run "commlm <command> --help" for the options of a command.',
    ].join('\n'),
  );
}

/** Arguments before the command name may only be the options of the program itself. */
function findCommandName(args: readonly string[]): string | undefined {
  return args.find((arg) => !arg.startsWith('-'));
}

function findCommand(name: string): CommandEntry {
  const entry = COMMANDS.find((command) => command.name === name);
  if (entry) return entry;
  const guess = nearestName(
    name,
    COMMANDS.map((command) => command.name),
  );
  throw new CommError(`There is no command "${name}".`, {
    code: 'cli/unknown-command',
    fix: guess ? `Did you mean "commlm ${guess}"?` : 'Run "commlm --help" for the list of commands.',
    exitCode: 2,
  });
}

/** commander's own wording of a usage error, without its prefix. */
function usageMessage(error: CommanderError): CommError {
  const text = error.message.replace(/^error: /, '').trim();
  const [first = '', ...rest] = text.split('\n');
  const sentence = `${first.charAt(0).toUpperCase()}${first.slice(1)}`;
  const hint = rest.join(' ').replace(/^\(|\)$/g, '');
  return new CommError(/[.?!]$/.test(sentence) ? sentence : `${sentence}.`, {
    code: 'cli/usage',
    fix: hint !== '' ? hint : 'Add --help to the command for its arguments and options.',
    exitCode: 2,
  });
}

interface ErrorReport {
  readonly exitCode: number;
  readonly code: string;
  readonly message: string;
  readonly fix?: string | undefined;
}

function systemMessage(error: NodeJS.ErrnoException): string | undefined {
  const place = error.path === undefined ? '' : ` ${error.path}`;
  switch (error.code) {
    case 'ENOENT':
      return `There is no file or folder${place}.`;
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `There is no permission to use${place || ' a file'}.`;
    case 'ENOSPC':
      return `The disk is full; could not write${place || ' the output'}.`;
    case 'EISDIR':
      return `Expected a file, but${place} is a folder.`;
    case 'ENAMETOOLONG':
      return `The name of a file is too long${place === '' ? '' : `:${place.slice(0, 80)}...`}.`;
    case 'EEXIST':
      return `There is already something at${place || ' the place of a new folder'}, and it is no folder.`;
    case 'ENOTDIR':
      return `A part of the path${place} is a file, not a folder.`;
    default:
      return undefined;
  }
}

function describe(error: unknown): ErrorReport {
  if (error instanceof CommanderError) return describe(usageMessage(error));
  if (error instanceof CommError) {
    const { exitCode, code, message, fix } = error;
    return { exitCode, code, message, fix };
  }
  if (error instanceof Error) {
    const missing = missingDevice(error);
    if (missing !== undefined) return describe(missing);
    const errno = error as NodeJS.ErrnoException;
    const message = systemMessage(errno) ?? error.message.split('\n')[0] ?? error.name;
    // TorchError already names its cause; anything else unexpected is worth a stack.
    const known = systemMessage(errno) !== undefined || error.name === 'TorchError';
    return {
      exitCode: 1,
      code: errno.code ?? `internal/${error.name}`,
      message: message === '' ? error.name : message,
      fix: known ? undefined : 'This was not expected; run the command again with --debug to see where it happened.',
    };
  }
  return { exitCode: 1, code: 'internal/unknown', message: String(error) };
}

function report(error: unknown, options: { debug: boolean; json: boolean }): number {
  const { exitCode, code, message, fix } = describe(error);
  const style = styleOf(process.stderr);
  process.stderr.write(`${style.red('error:')} ${printable(message)}\n`);
  if (fix !== undefined) process.stderr.write(`${style.dim('fix:')}   ${printable(fix)}\n`);
  if (options.debug && error instanceof Error && error.stack) process.stderr.write(`${printable(error.stack)}\n`);
  if (options.json && !hasPrintedJson()) {
    printJson({ error: { code, message, fix } });
  }
  return exitCode;
}

/** A reader that went away (`commlm ... | head`) is no failure of the command. */
function ignoreClosedPipe(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

/** Runs the command line on `argv` (without node and script) and gives the exit code; prints errors itself. */
export async function main(argv: readonly string[]): Promise<number> {
  const args = argv[0] === 'help' && argv[1] !== undefined ? [argv[1], '--help'] : argv;
  const end = args.indexOf('--');
  const flags = end < 0 ? args : args.slice(0, end);
  const debug = flags.includes('--debug');
  const json = flags.includes('--json');
  const program = createProgram();
  try {
    const name = findCommandName(args);
    if (name === undefined || name === 'help') {
      addSummaries(program);
      if (args.length === 0) {
        program.outputHelp();
        return 0;
      }
    } else {
      const module = await findCommand(name).load();
      module.register(program);
      for (const command of program.commands) configure(command);
    }
    // --debug is the program's own and may stand anywhere.
    await program.parseAsync(withoutDebug(args), { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    return report(error, { debug, json });
  }
}

/** Makes a registered command (and its sub-commands) report errors the one way, and know --debug in its help. */
function configure(command: Command): void {
  command
    .exitOverride((error) => {
      throw explain(error, command);
    })
    // A group that is named without one of its commands would print its whole help as an error.
    .configureOutput({ outputError: () => {}, writeErr: () => {} });
  command.helpOption('-h, --help', 'show help');
  for (const child of command.commands) configure(child);
}

/** What commander says of a command, with what to type in its place where that can be told. */
function explain(error: CommanderError, command: Command): Error {
  if (error.code === 'commander.help' && error.exitCode !== 0) return missingSubcommand(command);
  if (error.code === 'commander.missingArgument') return missingArgument(command);
  if (error.code !== 'commander.unknownOption' || error.message.includes('Did you mean')) return error;
  const given = /'(--[^'=]+)/.exec(error.message)?.[1] ?? '';
  const names = command.options.flatMap(({ long }) => long ?? []);
  const meant = names.filter((name) => holdsWords(name, given));
  if (meant.length > 0 && given !== '') error.message += `\n(Did you mean ${meant.join(' or ')}?)`;
  return error;
}

/** True where an option has all words of another in their order: --max-new-tokens those of --max-tokens. */
function holdsWords(name: string, given: string): boolean {
  const wanted = given.slice(2).split('-');
  let found = 0;
  for (const word of name.slice(2).split('-')) if (word === wanted[found]) found++;
  return found === wanted.length;
}

/** As typed, from the program on: `commlm eval compare`. */
const fullName = (command: Command): string =>
  command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;

function missingArgument(command: Command): CommError {
  const wanted = command.registeredArguments.map((argument) => {
    const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  return new CommError(`${fullName(command)} lacks an argument: it takes ${wanted.join(' ')}.`, {
    code: 'cli/usage',
    fix: `Type ${fullName(command)} ${wanted.join(' ')}; "${fullName(command)} --help" says what each is.`,
    exitCode: 2,
  });
}

function missingSubcommand(command: Command): CommError {
  const names = command.commands.map((child) => child.name()).join(', ');
  return new CommError(`commlm ${command.name()} needs one of its commands: ${names}.`, {
    code: 'cli/usage',
    fix: `Name one, as in "commlm ${command.name()} ${command.commands[0]?.name()}"; "commlm ${command.name()} --help" says what each does.`,
    exitCode: 2,
  });
}

function withoutDebug(args: readonly string[]): string[] {
  const end = args.indexOf('--');
  return args.filter((arg, i) => arg !== '--debug' || (end >= 0 && i > end));
}

/** What `bin/commlm.js` calls: runs the process's arguments and sets its exit code. */
export async function runProcess(): Promise<void> {
  ignoreClosedPipe(process.stdout);
  ignoreClosedPipe(process.stderr);
  listenForInterrupt();
  const code = await main(process.argv.slice(2));
  // A command that ends without an error may have set a code of its own, as a stopped training does.
  if (code !== 0) process.exitCode = code;
}
