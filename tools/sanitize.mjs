#!/usr/bin/env node
/**
 * `node tools/sanitize.mjs [--calls 30000] [--seed 1]`: builds the addon under AddressSanitizer and UBSan into a folder of
 * its own, runs the tests of the tensor package and random calls on it, and prints counts. libtorch and Node are not
 * instrumented; whatever the sanitizers report is a finding, and none is suppressed. Linux with GCC, whose libasan and
 * libubsan come with it. Ends with 1 on a finding or a failed test.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { isAbsolute, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { buildAddon, findCompiler } from '../packages/torch/native/build.mjs';
import { ROOT, setUp } from './setup.mjs';
import { listUnitTests, runTests } from './test-runner.mjs';

const FLAGS = [
  ...['-fsanitize=address,undefined', '-fno-sanitize-recover=address', '-fno-omit-frame-pointer', '-g1'],
  // Checks of the standard library: an index, an empty optional, the bounds of a clamp.
  '-D_GLIBCXX_ASSERTIONS',
].join(' ');

const { values } = parseArgs({
  options: { calls: { type: 'string', default: '30000' }, seed: { type: 'string', default: '1' } },
});
await setUp({ quiet: true });

const folder = join(ROOT, '.cache', 'sanitize');
const reports = join(folder, 'reports');
rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });

const compiler = findCompiler();
/** The sanitizers come first in the process, and libstdc++ with them, since they hook into its exceptions. */
const preload = ['libasan.so', 'libubsan.so', 'libstdc++.so.6'].map((name) => {
  const path = spawnSync(compiler.program, [...compiler.args, `-print-file-name=${name}`], {
    encoding: 'utf8',
  }).stdout.trim();
  if (!isAbsolute(path)) {
    console.error(`${compiler.version} has no ${name}. Use GCC: CXX=g++ node tools/sanitize.mjs`);
    process.exit(1);
  }
  return path;
});

process.env.COMMTORCH_CXXFLAGS = FLAGS;
const { path: libtorchPath } = JSON.parse(readFileSync(join(ROOT, '.cache', 'libtorch.json'), 'utf8'));
const report = (text) => console.error(text);
const { addon } = await buildAddon({ libtorchPath, outDir: join(folder, 'build'), report });

const log = join(reports, 'report');
const env = {
  ...process.env,
  COMMTORCH_ADDON: addon,
  LD_PRELOAD: preload.join(' '),
  // Node leaves memory to the end of the process; a request that cannot be met is an error of libtorch, not the end; and
  // the tests watch the memory of the process, of which freed blocks are held back here.
  ASAN_OPTIONS: `detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=64:log_path=${log}`,
  UBSAN_OPTIONS: `print_stacktrace=1:log_path=${log}`,
};

/** What the sanitizers wrote, a finding an entry: its first lines. */
function findings() {
  const starts = /(?=^(?:==\d+==ERROR: AddressSanitizer|.*: runtime error:))/m;
  return readdirSync(reports).flatMap((name) =>
    readFileSync(join(reports, name), 'utf8')
      .split(starts)
      .filter((part) => /ERROR: AddressSanitizer|runtime error:/.test(part))
      .map((part) => part.split('\n').slice(0, 12).join('\n')),
  );
}

const files = listUnitTests().filter((file) =>
  relative(ROOT, file).replaceAll('\\', '/').startsWith('packages/torch/'),
);
const { totals } = await runTests(files, { env });
const failed = totals === undefined ? files.length : totals.fail + totals.cancelled;

const fuzz = spawnSync(
  process.execPath,
  ['--expose-gc', join(ROOT, 'tools', 'native-fuzz.mjs'), '--count', values.calls, '--seed', values.seed],
  // A call without end is a finding as well.
  { cwd: ROOT, env, encoding: 'utf8', timeout: 3_600_000 },
);
const calls = fuzz.status === 0 ? JSON.parse(fuzz.stdout) : undefined;
if (calls === undefined) console.error(fuzz.stdout + fuzz.stderr);

const found = findings();
for (const text of found) console.log(`\n${text}`);
console.log(
  `\nsanitizers: ${totals?.pass ?? 0} tests passed, ${failed} failed; ` +
    (calls === undefined
      ? `the random calls ended with ${fuzz.signal ?? fuzz.status}; `
      : `${calls.calls} random calls of ${calls.operators} operators and the entries, ${calls.refused} refused; `) +
    `${found.length} findings`,
);
process.exitCode = found.length > 0 || failed > 0 || calls === undefined ? 1 : 0;
