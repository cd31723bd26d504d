/** Guard of the headers: every source file of the packages says what it is for in its first lines, as a doc comment. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { listSources } from '../helpers/imports.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** Whether a file begins with a doc comment that holds a sentence. */
const hasHeader = (text: string): boolean => /[a-z]/i.test(/^\/\*\*([\s\S]*?)\*\//.exec(text)?.[1] ?? '');

test('every source file begins with what it is for', () => {
  const sources = listSources(root, 'packages').filter((file) => !file.endsWith('.gen.ts'));
  assert.ok(sources.length > 400, `only ${sources.length} sources found below ${root}`);
  const bare = sources.filter((file) => !hasHeader(readFileSync(join(root, file), 'utf8')));
  assert.deepEqual(bare, [], 'Begin these files with /** ... */:');
});

test('a header is a doc comment with words in it', () => {
  assert.ok(hasHeader('/** Boxes. */\nexport {};\n'));
  assert.ok(hasHeader('/**\n * Boxes.\n */\n'));
  for (const text of ['// Boxes.\n', '/* Boxes. */\n', '/** */\nconst a = 1; /** b */\n', 'const a = 1;\n', '']) {
    assert.ok(!hasHeader(text), text);
  }
});
