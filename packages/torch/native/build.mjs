#!/usr/bin/env node
/**
 * Compiles every `.cpp` file right in this folder (what lies deeper they include) against a libtorch into
 * `../build/commtorch.node`, with the C++ compiler alone: no node-gyp, no CMake, no download. Object files are built in
 * parallel and kept by content, the addon is linked to a temporary name and renamed, so an interrupted build leaves the
 * last good addon in place.
 * As a command: `node build.mjs [--libtorch DIR] [--force] [--print-flags]`. The folder of libtorch (the one that holds
 * `include/` and `lib/`; a Python `torch` folder is one) comes from `--libtorch`, else the variable LIBTORCH, else what
 * `npm run setup` recorded. CXX names another compiler, COMMTORCH_CXXFLAGS adds flags.
 */

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const nativeDir = dirname(fileURLToPath(import.meta.url));
const buildDir = join(nativeDir, '..', 'build');
const repositoryRoot = resolve(nativeDir, '..', '..', '..');

/** The addon's path in a build folder and, beside it, the record of what it was built from. */
const pathsIn = (dir) => ({ addon: join(dir, 'commtorch.node'), record: join(dir, 'commtorch.json') });

/** An error that the user can act on: one sentence and what to do. */
export class BuildError extends Error {
  constructor(message, fix) {
    super(message);
    this.fix = fix;
  }
}

/** Writes JSON whole or not at all: flushed under a temporary name, then renamed. */
export function writeJson(path, value) {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.partial`;
  try {
    const fd = openSync(temporary, 'w');
    try {
      writeFileSync(fd, `${JSON.stringify(value, null, 2)}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** What lies in a libtorch folder: `{path, version, cuda}`; throws BuildError when it is not one. */
export function describeLibtorch(path) {
  const root = resolve(path);
  const header = ['include/torch/headeronly/version.h', 'include/torch/csrc/api/include/torch/version.h']
    .map((name) => join(root, name))
    .find((name) => existsSync(name) && /define TORCH_VERSION_MAJOR/.test(readFileSync(name, 'utf8')));
  const library = ['lib/libtorch_cpu.so', 'lib/libtorch_cpu.dylib', 'lib/torch_cpu.lib'].find((name) =>
    existsSync(join(root, name)),
  );
  if (header === undefined || library === undefined) {
    throw new BuildError(
      `${root} is not a libtorch folder: it lacks ${header === undefined ? 'include/torch' : 'lib/libtorch_cpu'}.`,
      'Point LIBTORCH to the folder that holds include/ and lib/, such as site-packages/torch of a Python torch.',
    );
  }
  const text = readFileSync(header, 'utf8');
  const part = (name) => /** @type {string} */ (new RegExp(`TORCH_VERSION_${name} (\\d+)`).exec(text)?.[1] ?? '0');
  const cuda = ['lib/libtorch_cuda.so', 'lib/torch_cuda.lib'].some((name) => existsSync(join(root, name)));
  return { path: root, version: `${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}`, cuda };
}

/** The compiler to use: `{command, version, msvc}`; throws BuildError when there is none or it is too old. */
export function findCompiler() {
  const wanted = process.env.CXX
    ? [process.env.CXX]
    : process.platform === 'win32'
      ? ['cl']
      : ['c++', 'g++', 'clang++'];
  for (const command of wanted) {
    const [program, ...args] = command.split(' ').filter(Boolean);
    const msvc = /(^|[\\/])cl(\.exe)?$/i.test(program);
    const run = spawnSync(program, msvc ? [] : [...args, '--version'], { encoding: 'utf8' });
    if (run.error) continue;
    const version = `${run.stdout}${run.stderr}`.split('\n')[0].trim();
    if (/free software foundation|gcc|g\+\+/i.test(run.stdout)) {
      const major = Number(/\b(\d+)\.\d+\.\d+/.exec(version)?.[1] ?? 99);
      if (major < 12) {
        throw new BuildError(
          `The C++ compiler ${command} is too old (${version}): C++20 needs g++ 12 or newer.`,
          'Install g++ 12 or newer, or name another compiler in the variable CXX, such as CXX=g++-13.',
        );
      }
    }
    return { program, args, version, msvc };
  }
  throw new BuildError(
    `No C++ compiler was found (tried ${wanted.join(', ')}).`,
    process.platform === 'darwin'
      ? 'Install the command line tools: xcode-select --install'
      : process.platform === 'win32'
        ? 'Install "Desktop development with C++" of the Visual Studio Build Tools and use its x64 Native Tools prompt.'
        : 'Install g++ 12 or newer (Debian, Ubuntu: apt install g++), or name a compiler in the variable CXX.',
  );
}

/** Folder of the Node-API headers, from the npm package that carries them. */
function nodeApiHeaders() {
  try {
    return createRequire(import.meta.url)('node-api-headers');
  } catch {
    throw new BuildError('The npm package node-api-headers is missing.', 'Install the packages again with npm.');
  }
}

/**
 * Compile and link arguments for one compiler, libtorch and platform. `runPath` is where the addon looks for libtorch when
 * it is loaded, by default where libtorch lies now.
 */
function toolArguments(compiler, libtorch, runPath = join(libtorch.path, 'lib')) {
  const nodeApi = nodeApiHeaders();
  const include = [join(libtorch.path, 'include'), join(libtorch.path, 'include/torch/csrc/api/include')];
  const lib = join(libtorch.path, 'lib');
  const extra = (process.env.COMMTORCH_CXXFLAGS ?? '').split(' ').filter(Boolean);
  const defines = ['NAPI_VERSION=9', '_GLIBCXX_USE_CXX11_ABI=1', ...(libtorch.cuda ? ['COMMTORCH_CUDA=1'] : [])];
  const torchLibraries = ['torch', 'torch_cpu', 'c10', ...(libtorch.cuda ? ['torch_cuda', 'c10_cuda'] : [])];
  if (compiler.msvc) {
    return {
      compile: [
        ...[
          '/nologo',
          '/c',
          '/std:c++20',
          '/O2',
          '/EHsc',
          '/MD',
          '/permissive-',
          '/Zc:__cplusplus',
          '/utf-8',
          '/DNOMINMAX',
        ],
        ...defines.map((define) => `/D${define}`),
        ...['/external:W0', ...[...include, nodeApi.include_dir].map((dir) => `/external:I${dir}`)],
        `/I${nativeDir}`,
        ...extra,
      ],
      object: (path) => [`/Fo${path}`],
      // The inert reference keeps torch_cpu.dll linked, which registers the operators.
      link: (objects, out, nodeLibrary) => [
        ...['/nologo', '/LD', ...objects, `/Fe${out}`, '/link', nodeLibrary, `/LIBPATH:${lib}`],
        ...torchLibraries.map((name) => `${name}.lib`),
        ...(libtorch.cuda ? ['/INCLUDE:?warp_size@cuda@at@@YAHXZ'] : []),
      ],
    };
  }
  const mac = process.platform === 'darwin';
  return {
    compile: [
      ...['-c', '-O2', '-std=c++20', '-fPIC', '-fvisibility=hidden', '-Wall', '-Wextra'],
      ...defines.map((define) => `-D${define}`),
      ...[...include, nodeApi.include_dir].flatMap((dir) => ['-isystem', dir]),
      `-I${nativeDir}`,
      ...extra,
    ],
    object: (path) => ['-o', path],
    // Without --no-as-needed the linker drops libtorch_cpu, and with it the registrations of the operators.
    link: (objects, out) => [
      ...extra,
      ...(mac ? ['-dynamiclib', '-undefined', 'dynamic_lookup'] : ['-shared', '-Wl,--no-as-needed']),
      ...objects,
      ...['-o', out, `-L${lib}`, ...torchLibraries.map((name) => `-l${name}`), `-Wl,-rpath,${runPath}`],
      ...(mac ? [] : ['-pthread']),
    ],
  };
}

/** Every source and header below the folder, sorted. */
function listSources(dir = nativeDir, prefix = '') {
  return readdirSync(dir, { withFileTypes: true })
    .flatMap((entry) => {
      const name = prefix + entry.name;
      if (entry.isDirectory()) return listSources(join(dir, entry.name), `${name}/`);
      return /\.(cpp|cc|h|hpp|inc)$/.test(entry.name) ? [name] : [];
    })
    .sort();
}

const sha256 = (...parts) =>
  parts.reduce((hash, part) => hash.update(part).update('\0'), createHash('sha256')).digest('hex');

/** What the addon would be built from, as one hash, with all that the build needs. Costs a few milliseconds. */
export function plan(libtorchPath, outDir = buildDir, runPath = undefined) {
  const libtorch = describeLibtorch(libtorchPath);
  const compiler = findCompiler();
  const tool = toolArguments(compiler, libtorch, runPath);
  const files = listSources();
  const units = files.filter((name) => name.endsWith('.cpp') && !name.includes('/'));
  if (units.length === 0)
    throw new BuildError(`${nativeDir} holds no C++ sources.`, 'Restore the folder; it comes with the package.');
  const settings = JSON.stringify([
    ...[libtorch.path, libtorch.version, libtorch.cuda, compiler.program, compiler.args, compiler.version],
    ...[tool.compile, process.platform, process.arch],
  ]);
  const headers = files.filter((name) => !units.includes(name)).map((name) => readFileSync(join(nativeDir, name)));
  const objects = units.map((name) => {
    const hash = sha256(settings, readFileSync(join(nativeDir, name)), ...headers);
    return {
      name,
      path: join(outDir, 'obj', `${basename(name, '.cpp')}-${hash.slice(0, 16)}.${compiler.msvc ? 'obj' : 'o'}`),
    };
  });
  const hash = sha256(settings, JSON.stringify(tool.link([], '', '')), ...objects.map((object) => object.path));
  return { libtorch, compiler, tool, objects, hash };
}

/** The record of the addon that lies in the build folder, or null. */
export function readRecord(outDir = buildDir) {
  try {
    const { addon, record } = pathsIn(outDir);
    return existsSync(addon) ? JSON.parse(readFileSync(record, 'utf8')) : null;
  } catch {
    return null;
  }
}

/** Runs a tool; rejects with a BuildError that carries what it printed. */
function runTool(program, args, signal) {
  return new Promise((fulfil, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], signal });
    let output = '';
    const collect = (chunk) => {
      output += chunk;
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (error) => reject(new BuildError(`${program} could not be run: ${error.message}.`, '')));
    child.on('close', (code) => {
      if (code === 0) fulfil(output.trim());
      else
        reject(
          new BuildError(`${program} failed with exit code ${code}:\n${output.trim()}`, 'Read the first error above.'),
        );
    });
  });
}

/** node.lib made from the package's export list, as Windows has no such library without a download. */
async function windowsImportLibrary(outDir, signal) {
  const { def_paths: defs } = nodeApiHeaders();
  const exported = Object.values(defs).flatMap((path) =>
    readFileSync(path, 'utf8').split(/\r?\n/).slice(2).filter(Boolean),
  );
  const def = join(outDir, 'obj', 'node.def');
  const lib = join(outDir, 'obj', 'node.lib');
  writeFileSync(def, `NAME NODE.EXE\nEXPORTS\n${exported.join('\n')}\n`);
  await runTool(
    'lib',
    ['/nologo', `/def:${def}`, `/out:${lib}`, `/machine:${process.arch === 'arm64' ? 'arm64' : 'x64'}`],
    signal,
  );
  return lib;
}

/**
 * Builds the addon when it is not up to date, into `outDir` where that is given. Returns `{built, record, addon}`.
 * `report(text)` hears of the progress; an aborted `signal` ends the compilers and leaves no half-written file.
 */
export async function buildAddon({
  libtorchPath,
  outDir = buildDir,
  runPath,
  force = false,
  report = () => {},
  signal,
}) {
  const { libtorch, compiler, tool, objects, hash } = plan(libtorchPath, outDir, runPath);
  const paths = pathsIn(outDir);
  const last = readRecord(outDir);
  if (!force && last?.hash === hash) return { built: false, record: last, addon: paths.addon };

  const objDir = join(outDir, 'obj');
  mkdirSync(objDir, { recursive: true });
  const missing = objects.filter((object) => force || !existsSync(object.path));
  const queue = [...missing];
  let done = 0;
  const failure = new AbortController();
  const stop = signal ? AbortSignal.any([signal, failure.signal]) : failure.signal;
  const temporary = new Set();
  if (missing.length > 0) report(`compiling ${missing.length} C++ files with ${compiler.version}`);
  const worker = async () => {
    for (let unit = queue.shift(); unit !== undefined; unit = queue.shift()) {
      const partial = `${unit.path}.${process.pid}.partial`;
      temporary.add(partial);
      const warnings = await runTool(
        compiler.program,
        [...compiler.args, ...tool.compile, join(nativeDir, unit.name), ...tool.object(partial)],
        stop,
      );
      renameSync(partial, unit.path);
      done += 1;
      report(`compiled ${unit.name} (${done}/${missing.length})${warnings && !compiler.msvc ? `\n${warnings}` : ''}`);
    }
  };
  const linked = `${paths.addon}.${process.pid}.partial`;
  temporary.add(linked);
  try {
    const workers = Array.from({ length: Math.min(availableParallelism(), missing.length) }, worker);
    await Promise.all(workers).catch(async (error) => {
      failure.abort();
      await Promise.allSettled(workers);
      throw error;
    });
    const nodeLibrary = compiler.msvc ? await windowsImportLibrary(outDir, stop) : '';
    const compiled = objects.map((object) => object.path);
    await runTool(compiler.program, [...compiler.args, ...tool.link(compiled, linked, nodeLibrary)], stop);
    // Removed first: a process that has the old addon mapped keeps it whole.
    rmSync(paths.record, { force: true });
    renameSync(linked, paths.addon);
    const record = { hash, libtorch, compiler: compiler.version, platform: process.platform, arch: process.arch };
    writeJson(paths.record, record);
    const kept = new Set(compiled.map((path) => basename(path)));
    for (const name of readdirSync(objDir)) if (!kept.has(name)) rmSync(join(objDir, name), { force: true });
    return { built: true, record, addon: paths.addon };
  } finally {
    for (const path of temporary) rmSync(path, { force: true });
  }
}

/** The libtorch folder that the command line, the environment or the set-up names. */
function chosenLibtorch(argument) {
  if (argument) return argument;
  if (process.env.LIBTORCH) return process.env.LIBTORCH;
  try {
    return JSON.parse(readFileSync(join(repositoryRoot, '.cache', 'libtorch.json'), 'utf8')).path;
  } catch {
    throw new BuildError(
      'No libtorch is chosen.',
      'Run the set-up of the clone, or set LIBTORCH to a libtorch folder.',
    );
  }
}

async function main(argv) {
  const value = (name) => (argv.includes(name) ? argv[argv.indexOf(name) + 1] : undefined);
  const libtorchPath = chosenLibtorch(value('--libtorch'));
  if (argv.includes('--print-flags')) {
    const { compiler, tool } = plan(libtorchPath);
    console.log([compiler.program, ...compiler.args, ...tool.compile].join(' '));
    return;
  }
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => controller.abort());
  const started = performance.now();
  const { built, record } = await buildAddon({
    libtorchPath,
    force: argv.includes('--force'),
    report: (text) => console.error(text),
    signal: controller.signal,
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.error(
    built
      ? `built commtorch.node against libtorch ${record.libtorch.version} in ${seconds} s`
      : 'commtorch.node is up to date',
  );
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(error instanceof BuildError ? error.message : error);
    if (error.fix) console.error(error.fix);
    process.exitCode = error.name === 'AbortError' ? 130 : 1;
  });
}
