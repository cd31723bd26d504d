/**
 * Guard of paths: `pathname` of a file URL is percent-encoded, so a path taken from it is right in most clones and wrong in
 * one whose folder has a space or a letter beyond ASCII; a file URL put together as text is wrong the other way round.
 * `fileURLToPath` and `pathToFileURL` do both.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The files that take addresses of the web apart. */
const OF_THE_WEB = [
  'packages/commlm/src/eval/run-eval.ts',
  'packages/commlm/src/eval/endpoint.ts',
  'packages/commlm/src/eval/post.ts',
  'packages/commlm/src/hub/local-hub.fixture.ts',
  'packages/torch/src/setup/fetch-wheel.slow.test.ts',
  'packages/torch/src/setup/http.ts',
];

/** Sources below a folder, with `/` between the parts of their paths. */
function listSources(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (!entry.isDirectory()) return /\.(ts|mts|js|mjs)$/.test(entry.name) ? [path] : [];
    return ['node_modules', 'dist', 'build', 'out'].includes(entry.name) ? [] : listSources(path);
  });
}

const sources = ['packages', 'tests', 'tools', 'runs'].flatMap(listSources);
const own = 'tests/guards/file-urls.test.ts';

test('paths come from fileURLToPath, file URLs from pathToFileURL', () => {
  assert.ok(sources.length > 300, `only ${sources.length} sources found`);
  assert.ok(sources.includes(own));
  for (const path of sources.filter((each) => each !== own)) {
    for (const [i, line] of readFileSync(join(root, path), 'utf8').split('\n').entries()) {
      const place = `${path}:${i + 1}: ${line.trim()}`;
      if (!OF_THE_WEB.includes(path)) assert.doesNotMatch(line, /\bpathname\b/, `${place}\nuse fileURLToPath`);
      assert.doesNotMatch(line, /file:\/\/\/?(\$\{|['"`] ?\+)/, `${place}\nuse pathToFileURL`);
    }
  }
});

test('the list of exceptions names files that exist', () => {
  for (const path of OF_THE_WEB) assert.ok(existsSync(join(root, path)), path);
});
