/**
 * Reporter of `npm test` and `npm run check` for Node's test runner: one line a file, failures in full, skipped tests by
 * name with the reason, and the runner's own totals at the end (`report.json` at COMMLM_TEST_REPORT, for machines).
 */

import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';

const COUNTERS = ['tests', 'pass', 'fail', 'cancelled', 'skipped', 'todo'];

/** The cause of a failure without the runner's own wrapping and stack. */
function describeFailure(error) {
  if (error?.signal) return `      the process was ended by ${error.signal}`;
  if (error?.exitCode !== undefined)
    return `      the process ended with exit code ${error.exitCode}; see its output above`;
  const cause = error?.cause ?? error;
  const text = cause?.stack ?? cause?.message ?? String(cause);
  return text
    .split('\n')
    .filter((line) => !/^\s+at .*(node:internal|node:async_hooks)/.test(line))
    .map((line) => `      ${line}`)
    .join('\n');
}

/** `packages/torch/src/tensor.test.ts` of a compiled test file. */
function sourceName(file) {
  return relative(process.cwd(), file)
    .replaceAll('\\', '/')
    .replace(/^(packages\/[^/]+)\/dist\//, '$1/src/')
    .replace(/^tests\/dist\//, 'tests/')
    .replace(/\.js$/, '.ts');
}

/** Turns the runner's events into lines of text. */
// biome-ignore lint/style/noDefaultExport: Node's test runner takes a reporter as the default export.
export default async function* report(events) {
  const files = new Map();
  const skipped = [];
  const totals = Object.fromEntries(COUNTERS.map((name) => [name, 0]));
  const numFiles = Number(process.env.COMMLM_TEST_FILES ?? 0);
  let finished = 0;
  let open;

  const tally = (file) => {
    if (!files.has(file)) files.set(file, { pass: 0, fail: 0, skip: 0, since: performance.now() });
    return files.get(file);
  };
  const finish = (file) => {
    const { pass, fail, skip, ms } = files.get(file);
    finished += 1;
    const counts = [
      `${pass} passed`,
      ...(fail > 0 ? [`${fail} FAILED`] : []),
      ...(skip > 0 ? [`${skip} skipped`] : []),
    ];
    const place = numFiles > 0 ? `[${String(finished).padStart(String(numFiles).length)}/${numFiles}] ` : '';
    return `${place}${fail > 0 ? 'FAIL' : 'ok  '} ${sourceName(file)}: ${counts.join(', ')} (${(ms / 1000).toFixed(1)} s)\n`;
  };

  for await (const { type, data } of events) {
    if (type === 'test:pass' || type === 'test:fail') {
      const file = data.file ?? 'unknown file';
      // The runner hands the files over one after another, whole, however many run at once.
      if (open !== undefined && open !== file) yield finish(open);
      open = file;
      const entry = tally(file);
      if (data.nesting === 0) entry.ms = (entry.ms ?? 0) + (data.details?.duration_ms ?? 0);
      if (data.skip !== undefined) {
        entry.skip += 1;
        const reason = typeof data.skip === 'string' && data.skip !== '' ? `: ${data.skip}` : '';
        skipped.push(`${sourceName(file)} > ${data.name}${reason}`);
      } else if (data.details?.type !== 'suite') {
        if (type === 'test:pass') entry.pass += 1;
        else {
          entry.fail += 1;
          if (data.details?.error?.failureType !== 'subtestsFailed') {
            yield `    FAILED: ${data.name}\n${describeFailure(data.details?.error)}\n`;
          }
        }
      } else if (type === 'test:fail' && data.details?.error?.failureType !== 'subtestsFailed') {
        entry.fail += 1;
        yield `    FAILED: ${data.name}\n${describeFailure(data.details?.error)}\n`;
      }
    } else if (type === 'test:diagnostic' && data.nesting === 0) {
      const [, name, count] = /^(\w+) (\d+)$/.exec(data.message) ?? [];
      if (name !== undefined && name in totals) totals[name] = Number(count);
    } else if (type === 'test:stderr') {
      yield data.message;
    }
  }
  if (open !== undefined) yield finish(open);
  if (skipped.length > 0) yield `\nSkipped ${skipped.length}:\n${skipped.map((line) => `  ${line}\n`).join('')}`;
  if (process.env.COMMLM_TEST_REPORT) {
    writeFileSync(process.env.COMMLM_TEST_REPORT, `${JSON.stringify(totals)}\n`);
  }
}
