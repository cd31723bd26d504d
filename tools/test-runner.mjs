/** Finds the compiled tests and runs them through Node's own test runner; shared by `npm test` and `npm run check`. */

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { ROOT } from './setup.mjs';

const REPORT = join(ROOT, '.cache', 'test-report.json');

/** Compiled test files of a TypeScript project, without those whose source is gone. */
function compiledTests(project, sourceDir) {
  const dist = join(ROOT, project, 'dist');
  if (!existsSync(dist)) return [];
  return readdirSync(dist, { recursive: true })
    .filter((name) => name.endsWith('.test.js'))
    .filter((name) => existsSync(join(ROOT, project, sourceDir, name.replace(/\.js$/, '.ts'))))
    .map((name) => join(dist, name))
    .sort();
}

const packageTests = () =>
  readdirSync(join(ROOT, 'packages')).flatMap((name) => compiledTests(join('packages', name), 'src'));

/** The unit tests, which lie beside the source, and the guards, but for those that take longer (`*.slow.test.ts`): what `npm run check` runs. */
export function listUnitTests() {
  const guards = compiledTests('tests', '.').filter((file) => relative(ROOT, file).includes('guards'));
  return [...guards, ...packageTests()].filter((file) => !file.endsWith('.slow.test.js'));
}

/** Every test of the repository. */
export function listAllTests() {
  return [...packageTests(), ...compiledTests('tests', '.')];
}

/**
 * Runs test files, prints one line a file (into the open file `output` instead, if given), and resolves to the runner's
 * totals `{tests, pass, fail, cancelled, skipped, todo}` with the exit code.
 */
export async function runTests(files, { env = process.env, output = 'inherit' } = {}) {
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  rmSync(REPORT, { force: true });
  const args = [
    '--test',
    `--test-concurrency=${Math.min(availableParallelism(), 8)}`,
    '--test-timeout=900000',
    `--test-reporter=${new URL('./test-reporter.mjs', import.meta.url).href}`,
    '--test-reporter-destination=stdout',
    ...files,
  ];
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    stdio: ['inherit', output, output],
    env: {
      ...env,
      // The files run side by side; with more threads in each they would fight for the cores.
      OMP_NUM_THREADS: env.OMP_NUM_THREADS ?? '1',
      COMMLM_TEST_REPORT: REPORT,
      COMMLM_TEST_FILES: String(files.length),
    },
  });
  const ignore = () => {};
  process.on('SIGINT', ignore);
  const code = await new Promise((fulfil) => child.on('close', (status) => fulfil(status ?? 130)));
  process.off('SIGINT', ignore);
  const totals = existsSync(REPORT) ? JSON.parse(readFileSync(REPORT, 'utf8')) : undefined;
  return { code, totals };
}
