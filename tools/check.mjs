#!/usr/bin/env node
/** `npm run check`: format and lint, types, import graph and unit tests, in under a minute. CI runs the same line. */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT, setUp } from './setup.mjs';
import { listUnitTests, runTests } from './test-runner.mjs';

/** Runs a program of node_modules to its end; ends this process when it finds something. */
function must(name, script, args, remedy) {
  const since = performance.now();
  const { status } = spawnSync(process.execPath, [join(ROOT, 'node_modules', script), ...args], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (status !== 0) {
    console.error(`check: ${name} failed. ${remedy}`);
    process.exit(status ?? 130);
  }
  console.log(`check: ${name} ok (${((performance.now() - since) / 1000).toFixed(1)} s)`);
}

await setUp({ quiet: true });
const biome = ['check', '--error-on-warnings', '.'];
must('format and lint', '@biomejs/biome/bin/biome', biome, 'npm run format corrects most of it.');
must('types', 'typescript/bin/tsc', ['-b', '--pretty', 'false'], 'Correct the errors above.');
const since = performance.now();
const { code, totals } = await runTests(listUnitTests());
const failed = totals ? totals.fail + totals.cancelled : 0;
console.log(
  totals
    ? `check: import graph and unit tests: ${totals.pass} passed, ${failed} failed, ${totals.skipped} skipped (${((performance.now() - since) / 1000).toFixed(1)} s)`
    : 'check: the test runner ended without a report',
);
process.exitCode = totals === undefined || failed > 0 ? 1 : code;
