/** `commlm-torch setup`: the set-up as a command, for projects that use this package alone. */
import { parseArgs } from 'node:util';
import { describeReport, setUp } from './index.js';

const HELP = `Usage: commlm-torch setup [options]

Find or fetch libtorch (its size is said first), make the addon, and try it.

Options:
  --home <folder>      where to put what is fetched and made (default: COMMLM_HOME, else below the user's cache folder)
  --libtorch <folder>  the libtorch to use (default: LIBTORCH, else the one that is found or fetched)
  --dry-run            only tell what would be fetched and made
  --json               print one JSON document
  -h, --help           show help
`;

/** Runs the command line (without node and script); resolves to the exit code. Prints the result on stdout, the rest on stderr. */
export async function run(args: readonly string[]): Promise<number> {
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        home: { type: 'string' },
        libtorch: { type: 'string' },
        'dry-run': { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help || positionals.length !== 1 || positionals[0] !== 'setup') {
      (values.help ? process.stdout : process.stderr).write(HELP);
      return values.help ? 0 : 2;
    }
    const report = await setUp({
      home: values.home,
      libtorch: values.libtorch,
      dryRun: values['dry-run'],
      signal: controller.signal,
      log: (line) => process.stderr.write(`${line}\n`),
    });
    process.stdout.write(
      values.json ? `${JSON.stringify(report, undefined, 2)}\n` : `${describeReport(report).join('\n')}\n`,
    );
    return 0;
  } catch (error) {
    const { message, fix, exitCode = 1, code } = error as Error & { fix?: string; exitCode?: number; code?: string };
    process.stderr.write(`error: ${message}\n${fix ? `fix:   ${fix}\n` : ''}`);
    return code?.startsWith('ERR_PARSE_ARGS') ? 2 : exitCode;
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}
