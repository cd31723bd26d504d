#!/usr/bin/env node
/**
 * Sets the clone up: versions, packages, build, and then what `commlm setup` does anywhere (packages/torch/src/setup):
 * libtorch, addon, self-test, with the clone's `.cache` as home. Plain Node without dependencies, so that it runs before
 * anything is installed. Each step is skipped when it is up to date and leaves nothing half-done when it fails or is
 * interrupted.
 *
 * `npm run setup [-- --quiet]`; `start.mjs`, `test.mjs` and `check.mjs` call `setUp()`.
 */

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { findCompiler } from '../packages/torch/native/build.mjs';
import { firstLine, runProgram, SetupError } from '../packages/torch/native/programs.mjs';
import { readJson, runSteps } from '../packages/torch/native/steps.mjs';

/** The repository's root folder. */
export const ROOT = resolve(fileURLToPath(import.meta.url), '..', '..');
const CACHE = join(ROOT, '.cache');
const MIN_NODE = [20, 19];
// npm is a script there, which only a shell runs.
const ON_WINDOWS = process.platform === 'win32';

/** `[name, modification time, size]`, or `[name, null]` for a file that does not exist. */
function fileStamp(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat ? [relative(ROOT, path), stat.mtimeMs, stat.size] : [relative(ROOT, path), null];
}

/** Files below `dir` whose name matches, without build output and packages. */
function listFiles(dir, pattern) {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) {
      return ['node_modules', 'dist', 'build', 'native'].includes(entry.name) ? [] : listFiles(path, pattern);
    }
    return pattern.test(entry.name) ? [path] : [];
  });
}

// ---------------------------------------------------------------------------------------------------------- versions

const versionsStep = {
  name: 'versions',
  stamp: () => [process.version, process.env.CXX],
  async run() {
    const [major, minor] = process.versions.node.split('.').map(Number);
    if (major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1])) {
      throw new SetupError(`Node ${process.versions.node} is too old.`, `Install Node ${MIN_NODE.join('.')} or newer.`);
    }
    const npm = process.env.npm_execpath
      ? firstLine(process.execPath, [process.env.npm_execpath, '--version'])
      : firstLine('npm', ['--version'], { shell: ON_WINDOWS });
    if (!npm) throw new SetupError('npm was not found.', 'Install npm; it comes with Node.');
    const compiler = findCompiler();
    return `Node ${process.versions.node}, npm ${npm}, ${compiler.version}`;
  },
};

// ---------------------------------------------------------------------------------------------------------- packages

/** Packages of the lock file that are not installed in that version; undefined entries mean nothing is installed. */
function missingPackages() {
  const lock = readJson(join(ROOT, 'package-lock.json'));
  if (!lock)
    throw new SetupError('package-lock.json is missing or broken.', 'Restore it: git checkout package-lock.json');
  // npm writes this file last, so an interrupted installation has none.
  const installed = readJson(join(ROOT, 'node_modules', '.package-lock.json'))?.packages ?? {};
  return Object.entries(lock.packages)
    .filter(([name, entry]) => name.startsWith('node_modules/') && !entry.optional)
    .filter(([name, entry]) => {
      const found = installed[name];
      return found === undefined || found.version !== entry.version || !existsSync(join(ROOT, name));
    })
    .map(([name]) => name);
}

const packagesStep = {
  name: 'packages',
  stamp: () =>
    ['package-lock.json', 'package.json', 'node_modules/.package-lock.json'].map((f) => fileStamp(join(ROOT, f))),
  async run({ report, signal }) {
    const missing = missingPackages();
    if (missing.length === 0) return 'up to date';
    report(`npm ci: ${missing.length} packages are missing or old (about 200 MB on disk, no install scripts)`);
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
    const { code } = process.env.npm_execpath
      ? await runProgram(process.execPath, [process.env.npm_execpath, ...args], { cwd: ROOT, signal })
      : await runProgram('npm', args, { cwd: ROOT, signal, shell: ON_WINDOWS });
    if (code !== 0) {
      throw new SetupError(
        `npm ci failed with exit code ${code}.`,
        'See its messages above. Behind a proxy set https_proxy; with a mirror: npm config set registry URL',
      );
    }
    return `${missing.length} packages installed`;
  },
};

// ------------------------------------------------------------------------------------------------------------- build

const projects = ['packages/torch', 'packages/commlm', 'tests'];

const buildStep = {
  name: 'build',
  stamp: () => [
    ...['tsconfig.json', 'tsconfig.base.json', 'node_modules/typescript/package.json'].map((f) =>
      fileStamp(join(ROOT, f)),
    ),
    ...projects.flatMap((project) => [
      ...['tsconfig.json', 'package.json', 'dist/.tsbuildinfo'].map((f) => fileStamp(join(ROOT, project, f))),
      ...listFiles(join(ROOT, project), /\.(ts|mts)$/).map(fileStamp),
    ]),
  ],
  async run({ signal }) {
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const { code, output } = await runProgram(process.execPath, [tsc, '-b', '--pretty', 'false'], {
      capture: true,
      cwd: ROOT,
      signal,
    });
    if (code !== 0)
      throw new SetupError(`tsc -b found errors:\n${output}`, 'Correct them and run npm run setup again.');
    return 'TypeScript compiled';
  },
};

// --------------------------------------------------------------------------------------- libtorch, addon, self-test

const compiledSetup = join(ROOT, 'packages', 'torch', 'dist', 'setup', 'index.js');

/** A step of the package's own set-up, which exists once the build is done. */
function torchStep(name) {
  const find = async () => {
    const { setupSteps } = await import(pathToFileURL(compiledSetup).href);
    return setupSteps({ home: CACHE }).find((step) => step.name === name);
  };
  return {
    name,
    stamp: async () => (existsSync(compiledSetup) ? await (await find()).stamp() : Math.random()),
    run: async (context) => await (await find()).run(context),
  };
}

const steps = [versionsStep, packagesStep, buildStep, ...['libtorch', 'addon', 'self-test'].map(torchStep)];

/** A clone that may not be written, in one sentence; other errors as they are. */
function asPermission(error) {
  if (!['EROFS', 'EACCES', 'EPERM'].includes(error.code)) return error;
  const told = new SetupError(
    `The set-up writes into the clone, and there is no permission to write ${error.path ?? ROOT}.`,
    'Make the clone writable for this user and run npm run setup once; a clone that is set up may be read-only.',
  );
  return Object.assign(told, { step: error.step });
}

/**
 * Brings the clone up to date; returns whether anything had to be done. Prints each step; with `quiet` only the steps
 * that do something. Ends the process with exit code 1 (130 when interrupted) after naming the cause and the remedy.
 */
export async function setUp({ quiet = false } = {}) {
  const controller = new AbortController();
  const interrupt = () => controller.abort();
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  const started = performance.now();
  try {
    const outcomes = await runSteps({
      steps,
      stampsFile: join(CACHE, 'setup.json'),
      lockFile: join(CACHE, 'setup.lock'),
      log: (line) => console.error(line),
      quiet,
      signal: controller.signal,
    });
    const done = outcomes.some((outcome) => outcome.done);
    if (done) console.error(`set-up: ready in ${((performance.now() - started) / 1000).toFixed(1)} s`);
    else if (!quiet) console.error(`set-up: all ${steps.length} steps are up to date`);
    return done;
  } catch (thrown) {
    const error = asPermission(thrown);
    if (controller.signal.aborted) {
      console.error('\nset-up: interrupted, nothing is left half-done\nRun the same command again to go on.');
      process.exit(130);
    }
    console.error(`\nset-up: ${error.step === undefined ? 'it failed' : `the step "${error.step}" failed`}`);
    console.error('fix' in error ? error.message : error.stack);
    if (error.fix) console.error(`What to do: ${error.fix}`);
    process.exit(error.exitCode ?? 1);
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await setUp({ quiet: process.argv.includes('--quiet') });
}
