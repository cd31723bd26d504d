#!/usr/bin/env node
/**
 * `npm test`: the set-up, then every test through Node's own runner. `npm test -- WORD...` runs the files whose path
 * holds one of the words. The last line holds the runner's own counts.
 */

import { relative } from 'node:path';
import { ROOT, setUp } from './setup.mjs';
import { listAllTests, runTests } from './test-runner.mjs';

await setUp({ quiet: true });

const words = process.argv.slice(2);
/** Path of the test's source, which is what one sees and names. */
const sourceOf = (file) =>
  relative(ROOT, file)
    .replaceAll('\\', '/')
    .replace('/dist/', file.includes('packages') ? '/src/' : '/');
const tests = listAllTests();
const unmatched = words.filter((word) => !tests.some((file) => sourceOf(file).includes(word)));
if (unmatched.length > 0) {
  console.error(`No test file's path holds ${unmatched.map((word) => `"${word}"`).join(' or ')}.`);
  process.exit(2);
}
const files = tests.filter((file) => words.length === 0 || words.some((word) => sourceOf(file).includes(word)));
const started = performance.now();
console.log(`running ${files.length} test files`);
const { code, totals } = await runTests(files);
if (totals === undefined) {
  console.error('The test runner ended without a report.');
  process.exit(code === 0 ? 1 : code);
}
const failed = totals.fail + totals.cancelled;
const seconds = ((performance.now() - started) / 1000).toFixed(0);
console.log(
  `\ntests: ${totals.pass} passed, ${failed} failed, ${totals.skipped} skipped, ${totals.todo} to do (${seconds} s)`,
);
process.exitCode = failed > 0 ? 1 : code;
