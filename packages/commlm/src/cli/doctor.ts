/** `commlm doctor`: what this installation is made of, what is missing, and the command that fixes it. */
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { arch, availableParallelism, freemem, platform, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import {
  type AddonRecord,
  type AddonState,
  addonState,
  cloneRoot,
  findAddon,
  isVersionWithin,
  SUPPORTED_MINORS,
  setupCommand,
} from '@commlm/torch/setup';
import type { Command } from 'commander';
import { CommError } from '../config/errors.js';
import { embeddedModelFolder } from '../hub/model-folder.js';
import { formatBytes, print, printJson, styleOf } from './output.js';
import { readProcessor } from './processor.js';

const MIN_NODE = [20, 19] as const;
const MIN_NODE_API = 9;

/** Operators beyond the everyday ones; an older or trimmed libtorch may lack them. */
const NEEDED_OPERATORS = [
  'aten::scaled_dot_product_attention',
  'aten::_fused_rms_norm',
  'aten::_fused_adamw_',
  'aten::_foreach_mul_',
  'aten::_upsample_bicubic2d_aa',
  'aten::_int_mm',
  'aten::_weight_int8pack_mm',
  'aten::from_file',
];

type Status = 'ok' | 'warning' | 'failed';

/** One line of the report. */
interface Finding {
  readonly name: string;
  readonly status: Status;
  readonly detail: string;
  readonly fix?: string | undefined;
}

/** What the loaded libtorch says about itself. */
interface Engine {
  readonly torch: string;
  readonly cpuCapability: string;
  readonly numThreads: number;
  readonly devices: readonly string[];
  readonly missingOperators: readonly string[];
}

/** The document of `--json`. */
interface Report {
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  readonly node: { readonly version: string; readonly nodeApi: number; readonly moduleAbi: number };
  readonly platform: { readonly os: string; readonly arch: string; readonly libc: string };
  readonly cpu: { readonly model: string; readonly cores: number; readonly features: readonly string[] };
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number };
  readonly libtorch: AddonRecord['libtorch'] | null;
  readonly addon: { readonly path: string | null; readonly state: AddonState; readonly compiler: string | null };
  readonly engine: Engine | null;
}

const SETUP = setupCommand();
const IN_CLONE = cloneRoot() !== undefined;

function finding(name: string, status: Status, detail: string, fix?: string): Finding {
  return { name, status, detail, fix };
}

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const old = major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1]);
  const nodeApi = Number(process.versions.napi);
  const detail = `${process.versions.node}, Node-API ${nodeApi}, module ABI ${process.versions.modules}`;
  if (old || nodeApi < MIN_NODE_API) {
    return finding('Node', 'failed', detail, `Install Node ${MIN_NODE.join('.')} or newer.`);
  }
  return finding('Node', 'ok', detail);
}

/** `glibc 2.36`, `musl`, or an empty string where the question does not arise. */
function libcName(): string {
  if (platform() !== 'linux') return '';
  const report = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  const version = report.header.glibcVersionRuntime;
  return version === undefined ? 'musl' : `glibc ${version}`;
}

function checkPlatform(libc: string): Finding {
  const detail = [platform(), release(), arch(), libc].filter((part) => part !== '').join(' ');
  if (libc === 'musl') {
    const fix = 'Use a distribution with glibc 2.28 or newer, such as Debian: there is no libtorch for musl.';
    return finding('system', 'failed', detail, fix);
  }
  return finding('system', 'ok', detail);
}

function checkLibtorch(record: AddonRecord | undefined): Finding {
  if (record === undefined) return finding('libtorch', 'failed', 'none is chosen yet', SETUP);
  const { path, version, cuda } = record.libtorch;
  const detail = `${version} ${cuda ? 'with CUDA' : 'for the CPU'}, ${path}`;
  if (!existsSync(join(path, 'lib'))) return finding('libtorch', 'failed', `${detail} (gone)`, SETUP);
  if (!isVersionWithin(version)) {
    const fix = `2.${SUPPORTED_MINORS[0]} to 2.${SUPPORTED_MINORS[1]} are supported: LIBTORCH=... ${SETUP}`;
    return finding('libtorch', 'warning', detail, fix);
  }
  return finding('libtorch', 'ok', detail);
}

function checkAddon(path: string | undefined, state: AddonState, record: AddonRecord | undefined): Finding {
  if (path === undefined) return finding('addon', 'failed', 'not made yet', SETUP);
  const detail = `${formatBytes(statSync(path).size)}, ${record?.compiler ?? 'compiler unknown'}`;
  if (state === 'outdated') {
    return finding('addon', 'warning', `${detail}; its sources, libtorch or compiler changed since`, SETUP);
  }
  return finding('addon', 'ok', detail);
}

/** Loads libtorch, adds two tensors, and asks it what it can do. Throws what the engine throws. */
async function startEngine(): Promise<Engine> {
  const { cuda, listSchemas, numThreads, scope, tensor, versionInfo } = await import('@commlm/torch');
  const sum = scope(() =>
    tensor([1, 2])
      .add(tensor([3, 4]))
      .tolist(),
  );
  if (String(sum) !== '4,6') throw new Error(`[1, 2] + [3, 4] gave [${String(sum)}]`);
  const { torch, cpuCapability, mps } = versionInfo();
  const names = new Set(listSchemas().map((schema) => schema.split('(')[0]?.split('.')[0] ?? ''));
  return {
    torch,
    cpuCapability,
    numThreads: numThreads(),
    devices: ['cpu', ...Array.from({ length: cuda.deviceCount() }, (_, i) => `cuda:${i}`), ...(mps ? ['mps'] : [])],
    missingOperators: NEEDED_OPERATORS.filter((name) => !names.has(name)),
  };
}

function checkEngine(engine: Engine): Finding[] {
  const { torch, cpuCapability, missingOperators, numThreads, devices } = engine;
  const operators =
    missingOperators.length === 0
      ? finding('operators', 'ok', `all ${NEEDED_OPERATORS.length} special ones are there`)
      : finding('operators', 'warning', `missing: ${missingOperators.join(', ')}`, `LIBTORCH=... ${SETUP}`);
  const cores = availableParallelism();
  const variable = process.env.OMP_NUM_THREADS;
  const threads = `${numThreads} of ${cores} cores${variable ? ` (OMP_NUM_THREADS=${variable})` : ''}`;
  return [
    finding('engine', 'ok', `libtorch ${torch} works, kernels for ${cpuCapability}, C++20, cxx11 ABI`),
    operators,
    numThreads > cores
      ? finding('threads', 'warning', threads, `More threads than cores make it slower: OMP_NUM_THREADS=${cores}`)
      : finding('threads', 'ok', threads),
    finding('devices', 'ok', devices.join(', ')),
  ];
}

/** Names and drivers of the NVIDIA GPUs, or an empty list. */
function nvidiaGpus(): string[] {
  const query = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader'];
  const run = spawnSync('nvidia-smi', query, { encoding: 'utf8', timeout: 10_000 });
  return run.status === 0 ? run.stdout.split('\n').filter((line) => line.trim() !== '') : [];
}

function checkGpus(engine: Engine | null, record: AddonRecord | undefined): Finding[] {
  const gpus = nvidiaGpus();
  if (gpus.length === 0) return [];
  const detail = gpus.join('; ');
  if (record?.libtorch.cuda === false) {
    const fix = `Point LIBTORCH to the torch folder of a Python with a CUDA build: LIBTORCH=... ${SETUP}`;
    return [finding('GPU', 'warning', `${detail}: unused, as this libtorch is a CPU build`, fix)];
  }
  if (engine !== null && !engine.devices.some((device) => device.startsWith('cuda'))) {
    return [finding('GPU', 'warning', `${detail}: libtorch cannot use it`, 'Update the driver; nvidia-smi names it.')];
  }
  return [finding('GPU', 'ok', detail)];
}

async function checkImages(): Promise<Finding> {
  try {
    const { default: sharp } = await import('sharp');
    return finding('images', 'ok', `sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}`);
  } catch (error) {
    const cause = (error as Error).message.split('\n')[0] ?? '';
    return finding(
      'images',
      'failed',
      `sharp does not load: ${cause}`,
      IN_CLONE ? 'npm ci' : 'npm install --include=optional',
    );
  }
}

function checkModel(): Finding {
  try {
    const weights = join(embeddedModelFolder(), 'model.safetensors');
    return finding('model', 'ok', `comm-tiny, ${formatBytes(statSync(weights).size)}`);
  } catch (error) {
    const fix = error instanceof CommError ? error.fix : IN_CLONE ? 'git checkout models' : 'npm install @commlm/tiny';
    return finding('model', 'warning', 'the embedded model is not there', fix);
  }
}

async function examine(): Promise<Report> {
  const { file, record } = findAddon();
  const state = await addonState();
  const libc = libcName();
  const { model, cores, features, switches } = readProcessor();
  const memory = process.constrainedMemory();
  const totalBytes = memory > 0 && memory < totalmem() ? memory : totalmem();
  const findings: Finding[] = [
    checkNode(),
    checkPlatform(libc),
    finding(
      'CPU',
      'ok',
      [`${model}, ${cores} cores`, features.join(' ') || 'features unknown', ...switches].join(', '),
    ),
    finding('memory', 'ok', `${formatBytes(totalBytes)}, ${formatBytes(freemem())} free`),
    checkLibtorch(record),
    checkAddon(file, state, record),
  ];

  let engine: Engine | null = null;
  if (state !== 'missing') {
    try {
      engine = await startEngine();
      findings.push(...checkEngine(engine));
    } catch (error) {
      const cause = (error as Error).message.split('\n')[0] ?? '';
      findings.push(finding('engine', 'failed', cause, `Delete ${dirname(file ?? '')}, then ${SETUP}`));
    }
  }
  findings.push(...checkGpus(engine, record), await checkImages(), checkModel());
  return {
    ok: findings.every(({ status }) => status !== 'failed'),
    findings,
    node: {
      version: process.versions.node,
      nodeApi: Number(process.versions.napi),
      moduleAbi: Number(process.versions.modules),
    },
    platform: { os: platform(), arch: arch(), libc },
    cpu: { model, cores, features },
    memory: { totalBytes, freeBytes: freemem() },
    libtorch: record?.libtorch ?? null,
    addon: { path: file ?? null, state, compiler: record?.compiler ?? null },
    engine,
  };
}

/** The error that ends the command when something needed is missing. */
function incomplete({ findings }: Report): CommError {
  const failed = findings.filter(({ status }) => status === 'failed');
  const names = failed.map(({ name }) => name).join(', ');
  const fix = failed[0]?.fix;
  return new CommError(`This installation is not complete: ${names}.`, {
    code: 'doctor/incomplete',
    fix,
  });
}

function printReport({ findings, ok }: Report): void {
  const style = styleOf();
  const marks = { ok: style.green('ok  '), warning: style.yellow('note'), failed: style.red('FAIL') };
  const width = Math.max(...findings.map(({ name }) => name.length));
  for (const { name, status, detail, fix } of findings) {
    print(`${marks[status]}  ${name.padEnd(width)}  ${detail}`);
    if (fix !== undefined) print(`      ${' '.repeat(width)}  fix: ${fix}`);
  }
  print();
  if (ok) print('Everything that is needed is here.');
}

/** Adds the command `doctor`. */
export function register(program: Command): void {
  program
    .command('doctor')
    .description('Check Node, libtorch, the addon, devices and the embedded model, and name what fixes each fault.')
    .option('--json', 'print one JSON document in place of text')
    .addHelpText('after', '\nExit code 1 when something that is needed is missing.')
    .action(async (options: { json?: boolean }) => {
      const report = await examine();
      if (options.json) printJson(report);
      else printReport(report);
      if (!report.ok) throw incomplete(report);
    });
}
