#!/usr/bin/env node
/**
 * Sets the clone up: versions, packages, libtorch, addon, build, self-test. Plain Node without dependencies, so that it
 * runs before anything is installed. Each step is skipped when it is up to date (judged by file stamps, a few
 * milliseconds in all) and leaves nothing half-done when it fails or is interrupted.
 *
 * `npm run setup [-- --quiet]`; `start.mjs`, `test.mjs` and `check.mjs` call `setUp()`.
 */

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeJson } from '../packages/torch/native/build.mjs';

/** The repository's root folder. */
export const ROOT = resolve(fileURLToPath(import.meta.url), '..', '..');
const CACHE = join(ROOT, '.cache');
const STAMPS = join(CACHE, 'setup.json');
const LIBTORCH_RECORD = join(CACHE, 'libtorch.json');
const LIBTORCH_HOME = join(CACHE, 'libtorch');

const TORCH_VERSION = '2.13.0';
const CPU_INDEX = 'https://download.pytorch.org/whl/cpu';
/** SHA-256 of the wheels that may be installed. */
const WHEELS = join(ROOT, 'tools', 'libtorch-wheels.txt');
const MIN_NODE = [20, 19];
const SUPPORTED_TORCH = [11, 13];

/** A failed step: what went wrong in one sentence, and what to do about it. */
class SetupError extends Error {
  constructor(message, fix, exitCode = 1) {
    super(message);
    this.fix = fix;
    this.exitCode = exitCode;
  }
}

const readJson = (path) => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
};

const digest = (value) => createHash('sha256').update(JSON.stringify(value)).digest('hex');

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

/** The first line that a program prints, or undefined when it cannot be run. */
function firstLine(program, args) {
  const run = spawnSync(program, args, { encoding: 'utf8', shell: process.platform === 'win32' && program === 'npm' });
  return run.status === 0 ? `${run.stdout}${run.stderr}`.split('\n')[0].trim() : undefined;
}

/**
 * Runs a program to its end. With `capture` resolves to its output, else the user sees it. An interrupt reaches the
 * child, and the promise settles only after it has gone, so that the step can clear away what it left.
 */
function runProgram(program, args, { capture = false, signal, env = {}, shell = false } = {}) {
  return new Promise((fulfil, reject) => {
    const child = spawn(program, args, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['ignore', capture ? 'pipe' : 'inherit', capture ? 'pipe' : 'inherit'],
      shell,
    });
    let output = '';
    const collect = (chunk) => {
      output += chunk;
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    const stop = () => child.kill('SIGTERM');
    signal?.addEventListener('abort', stop, { once: true });
    child.on('error', (error) => reject(new SetupError(`${program} could not be run: ${error.message}.`, '')));
    child.on('close', (code) => {
      signal?.removeEventListener('abort', stop);
      if (signal?.aborted) reject(new SetupError('Interrupted.', 'Run the same command again to go on.', 130));
      else fulfil({ code, output: output.trim() });
    });
  });
}

// ---------------------------------------------------------------------------------------------------------- versions

/** The Python to use for pip, `{command, version}`, or undefined. */
function findPython() {
  const wanted = process.env.PYTHON
    ? [process.env.PYTHON]
    : process.platform === 'win32'
      ? ['python', 'py', 'python3']
      : ['python3', 'python'];
  for (const command of wanted) {
    const line = firstLine(command, ['--version']);
    const version = /^Python (3\.\d+\.\d+)/.exec(line ?? '')?.[1];
    if (version) return { command, version };
  }
  return undefined;
}

const versionsStep = {
  name: 'versions',
  stamp: () => [process.version, process.env.CXX, process.env.PYTHON, process.env.LIBTORCH],
  async run() {
    const [major, minor] = process.versions.node.split('.').map(Number);
    if (major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1])) {
      throw new SetupError(`Node ${process.versions.node} is too old.`, `Install Node ${MIN_NODE.join('.')} or newer.`);
    }
    const npm = process.env.npm_execpath
      ? firstLine(process.execPath, [process.env.npm_execpath, '--version'])
      : firstLine('npm', ['--version']);
    if (!npm) throw new SetupError('npm was not found.', 'Install npm; it comes with Node.');
    const python = findPython();
    if (!python && !process.env.LIBTORCH && !existsSync(LIBTORCH_RECORD)) {
      throw new SetupError(
        'Python 3 was not found; pip is how libtorch is fetched.',
        'Install Python 3 with pip, or unpack a libtorch and set LIBTORCH to its folder.',
      );
    }
    const { findCompiler } = await import('../packages/torch/native/build.mjs');
    const compiler = findCompiler();
    return `Node ${process.versions.node}, npm ${npm}, Python ${python?.version ?? 'absent'}, ${compiler.version}`;
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
      ? await runProgram(process.execPath, [process.env.npm_execpath, ...args], { signal })
      : await runProgram('npm', args, { signal, shell: process.platform === 'win32' });
    if (code !== 0) {
      throw new SetupError(
        `npm ci failed with exit code ${code}.`,
        'See its messages above. Behind a proxy set https_proxy; with a mirror: npm config set registry URL',
      );
    }
    return `${missing.length} packages installed`;
  },
};

// ---------------------------------------------------------------------------------------------------------- libtorch

/** Throws when a libtorch is outside the supported versions. */
function checkTorchVersion(libtorch, origin) {
  const [major, minor] = libtorch.version.split('.').map(Number);
  if (major !== 2 || minor < SUPPORTED_TORCH[0] || minor > SUPPORTED_TORCH[1]) {
    throw new SetupError(
      `${origin} is libtorch ${libtorch.version}; 2.${SUPPORTED_TORCH[0]} to 2.${SUPPORTED_TORCH[1]} are supported.`,
      'Unset LIBTORCH to let the set-up fetch one, or name another folder.',
    );
  }
  return libtorch;
}

/** The torch folder of the Python at hand, found without importing it (an import takes seconds), or undefined. */
function pythonTorch(python) {
  const script = "import importlib.util as u; s = u.find_spec('torch'); print(s.origin if s and s.origin else '')";
  const run = spawnSync(python.command, ['-c', script], { encoding: 'utf8', cwd: CACHE });
  const origin = run.status === 0 ? run.stdout.trim().split('\n').at(-1) : '';
  return origin ? resolve(origin, '..') : undefined;
}

/** True when the machine has an NVIDIA GPU with its driver. */
function hasNvidiaGpu() {
  if (process.platform === 'darwin') return false;
  return existsSync('/proc/driver/nvidia/version') || firstLine('nvidia-smi', ['-L'])?.startsWith('GPU') === true;
}

/** The pip to call, as program and arguments; makes a private environment when the Python has none. */
async function findPip(python, signal) {
  if (firstLine(python.command, ['-m', 'pip', '--version'])) return [python.command, '-m', 'pip'];
  const venv = join(CACHE, 'venv');
  const { code, output } = await runProgram(python.command, ['-m', 'venv', '--clear', venv], { capture: true, signal });
  if (code !== 0) {
    rmSync(venv, { recursive: true, force: true });
    throw new SetupError(
      `Python ${python.version} has neither pip nor venv: ${output.split('\n').at(-1)}`,
      'Install them (Debian, Ubuntu: apt install python3-pip python3-venv), or set LIBTORCH to a libtorch folder.',
    );
  }
  return [join(venv, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python'), '-m', 'pip'];
}

/**
 * Ways to get libtorch by pip, best first. On Linux an unpinned build is a CUDA build of several GB, so without an
 * NVIDIA GPU the CPU build is asked for by name: from the package index at hand, then from PyTorch's own.
 */
function pipSources() {
  const small = 'about 190 MB to download, 750 MB on disk';
  const plain = { spec: `torch==${TORCH_VERSION}`, args: ['--no-deps'], size: small };
  if (process.platform !== 'linux') return [plain];
  const cuda = { spec: `torch==${TORCH_VERSION}`, args: [], size: 'a CUDA build with its libraries, several GB' };
  if (hasNvidiaGpu()) return [cuda];
  const cpu = { spec: `torch==${TORCH_VERSION}+cpu`, args: ['--no-deps'], size: small };
  return [cpu, { ...cpu, args: ['--no-deps', '--index-url', CPU_INDEX] }, cuda];
}

async function sha256(path) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}

/**
 * Throws unless the wheel of torch in a folder is one of those that `libtorch-wheels.txt` lists, or that LIBTORCH_SHA256
 * names. The libraries that a CUDA build comes with are named by torch itself with their versions; they have no checksum
 * here, which is said.
 */
async function checkWheels(folder, report) {
  const listed = new Map(
    readFileSync(WHEELS, 'utf8')
      .split(/\r?\n/)
      .filter((line) => /^[0-9a-f]{64} {2}\S/.test(line))
      .map((line) => [line.slice(66), line.slice(0, 64)]),
  );
  const names = readdirSync(folder);
  for (const name of names.filter((each) => each.startsWith('torch-'))) {
    const found = await sha256(join(folder, name));
    if (found === process.env.LIBTORCH_SHA256?.toLowerCase()) continue;
    const wanted = listed.get(name);
    if (wanted === undefined) {
      throw new SetupError(
        `${name} is not in tools/libtorch-wheels.txt; its SHA-256 is ${found}.`,
        `Set LIBTORCH to a torch folder of your own. If that wheel is known to be the right one: LIBTORCH_SHA256=${found} npm run setup`,
      );
    }
    if (found !== wanted) {
      throw new SetupError(
        `${name} is not the file that it was: its SHA-256 is ${found}, not ${wanted}.`,
        "Check pip's index and the proxy before it; or set LIBTORCH to a torch folder of your own.",
      );
    }
  }
  const others = names.filter((each) => !each.startsWith('torch-')).length;
  if (others > 0) report(`torch is the known file; the ${others} packages that it names are taken without a checksum`);
}

/** Installs torch into a temporary folder and renames it, so that `.cache/libtorch` is whole or absent. */
async function downloadLibtorch(python, { report, signal }) {
  const [program, ...pip] = await findPip(python, signal);
  const minor = Number(python.version.split('.')[1]);
  // Only the libraries are used, so the wheel may be of another Python than the one that fetches it.
  const foreign = minor < 11 || minor > 14 ? ['--python-version', '3.12'] : [];
  const partial = join(CACHE, `libtorch.partial-${process.pid}`);
  const temporary = join(CACHE, `tmp-${process.pid}`);
  const common = ['--only-binary', ':all:', '--no-input', '--disable-pip-version-check', ...foreign];
  const failures = [];
  const free = statfsSync(CACHE);
  if (free.bavail * free.bsize < 2e9) {
    throw new SetupError('Less than 2 GB are free on the disk of the clone.', 'Free some space, or set LIBTORCH.');
  }
  try {
    for (const { spec, args, size } of pipSources()) {
      const where = args.includes(CPU_INDEX) ? "PyTorch's CPU index" : 'pip';
      report(`fetching ${spec} from ${where} into .cache/libtorch: ${size}`);
      const wheels = join(temporary, 'wheels');
      mkdirSync(wheels, { recursive: true });
      // As variables, since an older pip refuses options that it does not know.
      const env = { TMPDIR: temporary, PIP_RETRIES: '2', PIP_ROOT_USER_ACTION: 'ignore' };
      const fetched = await runProgram(program, [...pip, 'download', '--dest', wheels, ...common, ...args, spec], {
        signal,
        env,
      });
      if (fetched.code === 0) {
        await checkWheels(wheels, report);
        const files = readdirSync(wheels).map((name) => join(wheels, name));
        const target = ['--target', partial, '--no-compile', '--no-deps', '--no-index'];
        const { code } = await runProgram(program, [...pip, 'install', ...target, ...common, ...files], {
          signal,
          env,
        });
        if (code !== 0) {
          throw new SetupError(`pip could not unpack ${spec} (exit code ${code}).`, 'See its messages above.');
        }
        rmSync(LIBTORCH_HOME, { recursive: true, force: true });
        renameSync(partial, LIBTORCH_HOME);
        return;
      }
      failures.push(`${spec} from ${where}: pip ended with exit code ${fetched.code}`);
      rmSync(wheels, { recursive: true, force: true });
    }
  } finally {
    rmSync(partial, { recursive: true, force: true });
    rmSync(temporary, { recursive: true, force: true });
  }
  throw new SetupError(
    `libtorch could not be fetched.\n${failures.map((line) => `  ${line}`).join('\n')}`,
    `Check the network or pip's index, or install torch ${TORCH_VERSION} yourself and set LIBTORCH to its folder.`,
  );
}

const libtorchStep = {
  name: 'libtorch',
  stamp() {
    const path = readJson(LIBTORCH_RECORD)?.path;
    const wanted = process.env.LIBTORCH ? resolve(process.env.LIBTORCH) : path;
    // A choice that is no longer what LIBTORCH names never counts as up to date.
    if (!path || wanted !== path) return [wanted, null, Math.random()];
    return [path, fileStamp(join(path, 'include', 'torch')), existsSync(join(path, 'lib'))];
  },
  async run(context) {
    const { describeLibtorch } = await import('../packages/torch/native/build.mjs');
    const choose = (libtorch, origin) => {
      const { path, version, cuda } = checkTorchVersion(libtorch, origin);
      writeJson(LIBTORCH_RECORD, { path, version, cuda });
      return `libtorch ${version} ${cuda ? 'with CUDA' : 'for the CPU'}, ${origin}`;
    };
    if (process.env.LIBTORCH) return choose(describeLibtorch(process.env.LIBTORCH), 'named by LIBTORCH');
    const attempt = (path, origin) => {
      try {
        return choose(describeLibtorch(path), origin);
      } catch (error) {
        context.report(`not used: ${error.message}`);
        return undefined;
      }
    };
    const recorded = readJson(LIBTORCH_RECORD)?.path;
    const known = recorded && existsSync(recorded) && attempt(recorded, 'chosen before');
    if (known) return known;
    const python = findPython();
    const installed = python && pythonTorch(python);
    const present = installed && attempt(installed, `of ${python.command}`);
    if (present) return present;
    const own = join(LIBTORCH_HOME, 'torch');
    const cached = existsSync(own) && attempt(own, 'in .cache/libtorch');
    if (cached) return cached;
    if (!python)
      throw new SetupError('Python 3 was not found; pip is how libtorch is fetched.', 'Install Python 3 with pip.');
    await downloadLibtorch(python, context);
    return choose(describeLibtorch(own), 'in .cache/libtorch');
  },
};

// ------------------------------------------------------------------------------------------- addon, build, self-test

const addonDir = join(ROOT, 'packages', 'torch', 'build');

const addonStep = {
  name: 'addon',
  stamp: () => [
    readJson(LIBTORCH_RECORD),
    [process.env.CXX, process.env.COMMTORCH_CXXFLAGS],
    readdirSync(join(ROOT, 'packages', 'torch', 'native'), { recursive: true })
      .sort()
      .map((name) => fileStamp(join(ROOT, 'packages', 'torch', 'native', name))),
    fileStamp(join(addonDir, 'commtorch.node')),
    fileStamp(join(addonDir, 'commtorch.json')),
  ],
  async run({ report, signal }) {
    const { buildAddon } = await import('../packages/torch/native/build.mjs');
    const libtorchPath = readJson(LIBTORCH_RECORD).path;
    const { built, record } = await buildAddon({ libtorchPath, signal, report });
    return built ? `compiled for libtorch ${record.libtorch.version}` : 'up to date';
  },
};

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
      signal,
    });
    if (code !== 0)
      throw new SetupError(`tsc -b found errors:\n${output}`, 'Correct them and run npm run setup again.');
    return 'TypeScript compiled';
  },
};

const selfTestStep = {
  name: 'self-test',
  stamp: () => [
    process.version,
    readJson(join(addonDir, 'commtorch.json'))?.hash,
    fileStamp(join(addonDir, 'commtorch.node')),
  ],
  async run({ signal }) {
    const script = `
      import { tensor } from './packages/torch/dist/index.js';
      const sum = tensor([1, 2]).add(tensor([3, 4])).tolist();
      if (String(sum) !== '4,6') throw new Error('1+3, 2+4 gave ' + sum);`;
    const args = ['--input-type=module', '--eval', script];
    const { code, output } = await runProgram(process.execPath, args, { capture: true, signal });
    if (code !== 0) {
      throw new SetupError(
        `The addon does not work (exit code ${code}):\n${output}`,
        'Build it anew: delete packages/torch/build, then npm run setup. npx commlm doctor tells more.',
      );
    }
    return 'two tensors added';
  },
};

const steps = [versionsStep, packagesStep, libtorchStep, addonStep, buildStep, selfTestStep];

// -------------------------------------------------------------------------------------------------------- the runner

/** True while a process of that id lives. */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Text of a file, or undefined where there is none. */
function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Makes the lock with its owner in it, in one step; false where there is one. */
function createLock(lock) {
  const draft = `${lock}.${process.pid}`;
  try {
    writeFileSync(draft, String(process.pid));
    linkSync(draft, lock);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    if (error.syscall !== 'link') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  // A file system without hard links.
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    rmSync(lock, { force: true });
    throw error;
  }
}

/** Waits until no other set-up works in this clone, then takes the lock; returns the function that gives it back. */
async function takeLock(say, signal) {
  const lock = join(CACHE, 'setup.lock');
  mkdirSync(CACHE, { recursive: true });
  for (let told = false; !signal.aborted; ) {
    if (createLock(lock)) return () => rmSync(lock, { force: true });
    const found = readIfThere(lock);
    if (found === undefined) continue;
    const owner = Number(found);
    // Empty where a full disk or a crash came between making and writing it.
    if (!(owner > 0 && isAlive(owner))) {
      const aside = `${lock}.${process.pid}.stale`;
      try {
        renameSync(lock, aside);
      } catch (error) {
        if (error.code !== 'ENOENT') throw error;
        continue;
      }
      // Another one may have taken it over in the meantime: it gets its lock back.
      if (readIfThere(aside) === found) rmSync(aside, { force: true });
      else renameSync(aside, lock);
      continue;
    }
    if (!told) say(`waiting for another set-up of this clone (process ${owner})`);
    told = true;
    await new Promise((fulfil) => setTimeout(fulfil, 500));
  }
  throw new SetupError('Interrupted.', 'Run the same command again to go on.', 130);
}

/** Removes what a killed set-up (not merely interrupted) may have left. */
function sweep() {
  for (const name of existsSync(CACHE) ? readdirSync(CACHE) : []) {
    const pid = /^(?:libtorch\.partial|tmp)-(\d+)$/.exec(name)?.[1];
    if (pid && !isAlive(Number(pid))) rmSync(join(CACHE, name), { recursive: true, force: true });
  }
}

/** A clone that may not be written, in one sentence; other errors as they are. */
function asPermission(error) {
  if (!['EROFS', 'EACCES', 'EPERM'].includes(error.code)) return error;
  return new SetupError(
    `The set-up writes into the clone, and there is no permission to write ${error.path ?? ROOT}.`,
    'Make the clone writable for this user and run npm run setup once; a clone that is set up may be read-only.',
  );
}

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/**
 * Brings the clone up to date; returns whether anything had to be done. Prints each step; with `quiet` only the steps
 * that do something. Ends the process with exit code 1 (130 when interrupted) after naming the cause and the remedy.
 */
export async function setUp({ quiet = false } = {}) {
  const stamps = readJson(STAMPS) ?? {};
  const stale = (step) => stamps[step.name] !== digest(step.stamp());
  if (!steps.some(stale)) {
    if (!quiet) console.error(`set-up: all ${steps.length} steps are up to date`);
    return false;
  }

  const controller = new AbortController();
  const interrupt = () => controller.abort();
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  const started = performance.now();
  const width = Math.max(...steps.map((step) => step.name.length));
  let current = 'lock';
  let release = () => {};
  try {
    release = await takeLock((text) => console.error(text), controller.signal);
    sweep();
    for (const [index, step] of steps.entries()) {
      current = step.name;
      const label = `[${index + 1}/${steps.length}] ${step.name.padEnd(width)}`;
      if (!stale(step)) {
        if (!quiet) console.error(`${label}  up to date`);
        continue;
      }
      const since = performance.now();
      const report = (text) => console.error(`${label}  ${text} ...`);
      const outcome = await step.run({ report, signal: controller.signal });
      if (controller.signal.aborted) throw new SetupError('Interrupted.', 'Run the same command again to go on.', 130);
      console.error(`${label}  ${outcome} (${seconds(since)})`);
      stamps[step.name] = digest(step.stamp());
      writeJson(STAMPS, stamps);
    }
    console.error(`set-up: ready in ${seconds(started)}`);
    return true;
  } catch (thrown) {
    const error = asPermission(thrown);
    const aborted = controller.signal.aborted;
    console.error(
      aborted ? '\nset-up: interrupted, nothing is left half-done' : `\nset-up: the step "${current}" failed`,
    );
    console.error(
      aborted ? 'Run the same command again to go on.' : error.stack && !('fix' in error) ? error.stack : error.message,
    );
    if (!aborted && error.fix) console.error(`What to do: ${error.fix}`);
    release();
    process.exit(aborted ? 130 : (error.exitCode ?? 1));
  } finally {
    release();
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await setUp({ quiet: process.argv.includes('--quiet') });
}
