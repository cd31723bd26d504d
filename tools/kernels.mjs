#!/usr/bin/env node
/**
 * `npm run test:kernels`: the tests with numeric bounds under every set of kernels that this processor has. libtorch
 * picks its kernels by the processor's instructions, and so do oneDNN and MKL below it; other kernels add in another
 * order and round elsewhere. A bound that holds only for the kernels of one machine fails here.
 *
 * `-- WORD...` runs the test files whose path holds one of the words, `-- --all` every test. Prints a row for each
 * setting, with fingerprints of four operators that tell which settings really changed a kernel, and ends with 1 when
 * a test failed.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT, setUp } from './setup.mjs';
import { listAllTests, runTests } from './test-runner.mjs';

/** Whether a compiled test compares numbers of tensors: a unit test that asks the helpers for that, or parity. */
function isNumeric(file) {
  if (!file.includes(join(ROOT, 'packages'))) return file.includes(join('dist', 'parity'));
  return /from '(@commlm\/torch|\.{1,2})\/testing/.test(readFileSync(file, 'utf8'));
}

const CAPABILITIES = ['default', 'avx2', 'avx512'];
const SWITCHES = ['ATEN_CPU_CAPABILITY', 'ONEDNN_MAX_CPU_ISA', 'MKL_CBWR', 'OMP_NUM_THREADS'];

/** Every combination of libtorch's and oneDNN's switches with 1 and 2 threads, and MKL's plainest kernels. */
function listSettings(capabilities) {
  const settings = capabilities.flatMap((capability) =>
    ['AVX2', 'AVX512_CORE', undefined].map((onednn) => ({
      ATEN_CPU_CAPABILITY: capability,
      ONEDNN_MAX_CPU_ISA: onednn,
    })),
  );
  return [...settings, { MKL_CBWR: 'COMPATIBLE' }].flatMap((setting) =>
    ['1', '2'].map((threads) => ({ ...setting, OMP_NUM_THREADS: threads })),
  );
}

/** The environment with these switches alone; the user's own are left out. */
function environmentOf(setting) {
  const env = { ...process.env };
  for (const name of SWITCHES) delete env[name];
  for (const [name, value] of Object.entries(setting)) if (value !== undefined) env[name] = value;
  // Waiting threads sleep: where cores are shared, threads that spin take the core from the one they wait for.
  env.OMP_WAIT_POLICY = 'PASSIVE';
  return env;
}

/** libtorch's capability and, of a product in f32, one in bf16, a softmax and an int8 product, four digits of a hash. */
const PROBE = `
  import { createHash } from 'node:crypto';
  import { manualSeed, nn, randn, scope, versionInfo } from './packages/torch/dist/index.js';
  const short = (tensor) => createHash('sha256').update(tensor.float().toBytes()).digest('hex').slice(0, 4);
  scope(() => {
    manualSeed(0);
    const [a, b, x] = [randn([96, 1000]), randn([1000, 96]), randn([64, 1000])];
    const int8 = nn.Int8Linear.from(new nn.Linear(1000, 96));
    const marks = [a.matmul(b), a.bfloat16().matmul(b.bfloat16()), x.softmax(-1), int8.forward(x.narrow(0, 0, 5))];
    console.log(JSON.stringify([versionInfo().cpuCapability.toLowerCase(), marks.map(short).join(' ')]));
  });`;

function probe(setting) {
  const run = spawnSync(process.execPath, ['--input-type=module', '--eval', PROBE], {
    cwd: ROOT,
    env: environmentOf(setting),
    encoding: 'utf8',
  });
  if (run.status !== 0) throw new Error(`the probe failed with ${JSON.stringify(setting)}:\n${run.stderr}`);
  return JSON.parse(run.stdout);
}

function printRow(cells) {
  const widths = [10, 12, 11, 8, 20, 7, 7, 8];
  console.log(
    cells
      .map((cell, i) => String(cell).padEnd(widths[i]))
      .join(' ')
      .trimEnd(),
  );
}

await setUp({ quiet: true });
const words = process.argv.slice(2).filter((word) => word !== '--all');
const files = listAllTests().filter((file) => {
  const path = relative(ROOT, file).replaceAll('\\', '/');
  return (
    (words.length === 0 || words.some((word) => path.includes(word))) &&
    (process.argv.includes('--all') || isNumeric(file))
  );
});
if (files.length === 0) {
  console.error("No numeric test file's path holds one of the words.");
  process.exit(2);
}

const [best] = probe({});
const capabilities = CAPABILITIES.slice(0, CAPABILITIES.indexOf(best) + 1);
const model = /^model name\s*: (.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown processor';
console.log(`${files.length} test files; ${model}, libtorch's own choice is ${best}`);
if (capabilities.length < CAPABILITIES.length)
  console.log(`left out, as this processor lacks them: kernels above ${best}`);

const logFolder = join(ROOT, '.cache', 'kernels');
mkdirSync(logFolder, { recursive: true });
console.log(`what each run printed: ${relative(ROOT, logFolder)}/\n`);
printRow(['libtorch', 'oneDNN', 'MKL', 'threads', 'fingerprints', 'passed', 'failed', 'seconds']);
let numFailed = 0;
const failures = new Set();
for (const setting of listSettings(capabilities)) {
  const [, marks] = probe(setting);
  const shown = SWITCHES.map((name) => setting[name] ?? 'own');
  const log = join(logFolder, `${shown.join('-')}.log`);
  const started = performance.now();
  const output = openSync(log, 'w');
  const { code, totals } = await runTests(files, { env: environmentOf(setting), output });
  const failed = totals === undefined ? 1 : totals.fail + totals.cancelled;
  numFailed += failed > 0 || code === 0 ? failed : 1;
  printRow([...shown, marks, totals?.pass ?? 0, failed, ((performance.now() - started) / 1000).toFixed(0)]);
  for (const [, name] of readFileSync(log, 'utf8').matchAll(/^ {4}FAILED: (.*)$/gm)) failures.add(name);
}
console.log(numFailed === 0 ? '\nall green' : `\n${numFailed} failures:`);
for (const name of failures) console.log(`  ${name}`);
process.exitCode = numFailed === 0 ? 0 : 1;
