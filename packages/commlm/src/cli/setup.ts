/** `commlm setup`: libtorch and the addon for this installation; the set-up itself is @commlm/torch's. */
import type { Command } from 'commander';
import { CommError } from '../config/errors.js';
import { interruptExitCode, interruptSignal } from './interrupt.js';
import { note, print, printJson } from './output.js';

interface SetupCommandOptions {
  readonly home?: string;
  readonly libtorch?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

const NOTES = `
Nothing is fetched or compiled while npm installs; this command does both, and says sizes first. What it makes lies in
COMMLM_HOME (default: below the user's cache folder), outside of node_modules, and is shared by every project. A stopped
set-up goes on where it was; a second run has nothing to do.

Environment: COMMLM_HOME, LIBTORCH (folder of a libtorch to use, such as site-packages/torch of a Python), CXX (the C++
compiler), PYTHON (whose pip is asked where the wheel cannot be read directly), PIP_INDEX_URL and the other settings of pip
(where the wheel lies), HTTPS_PROXY, NO_PROXY.

Examples:
  commlm setup --dry-run
  LIBTORCH=/opt/libtorch commlm setup`;

/** Adds `setup` to the program. */
export function register(program: Command): void {
  program
    .command('setup')
    .description('find or fetch libtorch, make the addon, and try it')
    .option('--home <folder>', 'where to put what is fetched and made (default: COMMLM_HOME)')
    .option('--libtorch <folder>', 'the libtorch to use (default: LIBTORCH, else found or fetched)')
    .option('--dry-run', 'only tell what would be fetched and made')
    .option('--json', 'print one JSON document')
    .addHelpText('after', NOTES)
    .action(run);
}

async function run({ home, libtorch, dryRun, json }: SetupCommandOptions): Promise<void> {
  const { describeReport, setUp } = await import('@commlm/torch/setup');
  try {
    const report = await setUp({ home, libtorch, dryRun, signal: interruptSignal(), log: note });
    if (json) printJson(report);
    else for (const line of describeReport(report)) print(line);
  } catch (error) {
    const { message, fix } = error as Error & { fix?: string };
    if (interruptSignal().aborted) {
      throw new CommError('Interrupted; nothing is left half-done.', {
        code: 'setup/interrupted',
        fix: 'Run commlm setup again to go on.',
        exitCode: interruptExitCode(),
        cause: error,
      });
    }
    if (fix === undefined) throw error;
    throw new CommError(message, { code: 'setup/failed', fix: fix || undefined, cause: error });
  }
}
