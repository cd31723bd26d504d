/** Records of large JSON files, read in stretches: the same as JSON.parse, faults with their line. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CommError } from '../config/errors.js';
import { openJson, openJsonLines, type Records } from './json-records.js';
import { Random } from './world/random.js';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'comm-records-'));
});
after(() => rm(folder, { recursive: true, force: true }));

async function fileOf(content: string | Uint8Array): Promise<string> {
  const path = join(folder, 'data.json');
  await writeFile(path, content);
  return path;
}

const valuesOf = (records: Records): unknown[] => Array.from({ length: records.length }, (_, i) => records.value(i));

/** Some JSON value with the characters that mislead a walk over bytes. */
function someValue(random: Random, depth: number): unknown {
  const kind = random.int(depth > 2 ? 4 : 6);
  if (kind === 0) return random.int(1000) - 500;
  if (kind === 1) return random.pick([null, true, false, 1.5e-7]);
  if (kind < 4)
    return Array.from({ length: random.int(8) }, () =>
      random.pick(['\\', '"', '[', ']', '{', '}', ',', ':', 'é', '\n', ' ']),
    ).join('');
  const items = Array.from({ length: random.int(4) }, (_, i) => [`${i}"\\`, someValue(random, depth + 1)] as const);
  return kind === 4 ? items.map(([, value]) => value) : Object.fromEntries(items);
}

test('records of arrays, objects, lists and lines are those that JSON.parse gives', async () => {
  const random = new Random(1, 'records');
  for (let round = 0; round < 150; round++) {
    const values = Array.from({ length: random.int(5) }, () => someValue(random, 0));
    const indent = random.pick([undefined, 1]);
    assert.deepEqual(valuesOf(openJson(await fileOf(JSON.stringify(values, undefined, indent))).elements()), values);
    const root = { head: someValue(random, 0), list: values, 'key " \\': 1 };
    const document = openJson(await fileOf(JSON.stringify(root, undefined, indent)));
    assert.deepEqual(valuesOf(document.list('list')), values);
    const members = document.members();
    assert.deepEqual(
      Object.fromEntries(valuesOf(members).map((value, i) => [members.key(i), value])),
      JSON.parse(JSON.stringify(root)),
    );
    assert.equal(members.find('list'), 1);
    assert.equal(members.find('none'), undefined);
    if (values.length === 0) continue;
    const objects = values.map((value) => ({ value }));
    const lines = objects.map((value) => JSON.stringify(value)).join(random.pick(['\n', '\r\n']));
    assert.deepEqual(valuesOf(openJsonLines(await fileOf(`\ufeff${lines}\n\n`))), objects);
  }
});

test('texts and escapes that go over the end of a stretch of the file are followed', async () => {
  const stretch = 1 << 22;
  for (const shift of [-3, -2, -1, 0, 1, 2]) {
    // The head and its quote take ["..., so that the escapes lie around the end of the first stretch.
    const values = [`${'x'.repeat(stretch - 2 + shift)}\\"`, ',]', '\\\\'];
    assert.deepEqual(valuesOf(openJson(await fileOf(JSON.stringify(values))).elements()), values);
  }
});

test('a fault is told with its line, whichever record it is in', async () => {
  const fails = async (content: string, message: RegExp, read: (path: string) => unknown): Promise<void> => {
    const path = await fileOf(content);
    assert.throws(
      () => read(path),
      (error: unknown) => error instanceof CommError && error.code === 'data/sample' && message.test(error.message),
    );
  };
  const all = (path: string): unknown => valuesOf(openJson(path).elements());
  await fails('[\n{"a": 1},\n{"a": }\n]', /entry 2, line 3, column 7: not valid JSON/, all);
  await fails('[\n1,\n2', /line 3: not valid JSON: the text ends early/, all);
  await fails('[\n1,\n,2]', /line 3: not valid JSON: a value is missing/, all);
  await fails('[1,\n]', /line 2: not valid JSON: a value is missing/, all);
  await fails('[1]\n[2]', /line 2: not valid JSON: there is text after the end/, all);
  await fails('hello', /a JSON array or object is needed/, all);
  await fails('{"a": [1]}', /a JSON array is needed, but this is an object/, all);
  assert.throws(() => openJson(join(folder, 'data.json')).elements(), { fix: /`jq -s \. .*data\.json`/ });
  await fails('[1]', /the list "images" is missing; found none/, (path) => openJson(path).list('images'));
  await fails('{"a": 1, "a": 2}', /key "a": the key is there twice/, (path) => openJson(path).members().find('a'));
  await fails('', /the file is empty/, all);
  const lines = (path: string): unknown => valuesOf(openJsonLines(path));
  await fails('{"a": 1}\n\n{"a": 2}\n', /line 2: the line is blank/, lines);
  await fails('{"a": 1}\r\n\r\n{"a": 2}\r\n', /line 2: the line is blank/, lines);
  await fails('{"a": 1}\n{"a": 2, "b": [{"c": 1, "c": 1}]}', /line 2: the key "c" is there twice in one object/, lines);
  await fails('[{"a": 1},\n{"a": 2, "a": 2}]', /entry 2: the key "a" is there twice in one object/, all);
  await fails('{"images": [1], "images": [2]}', /the list "images" is there twice/, (path) => openJson(path));
  await fails('{"a": 1}\n{"a": 2', /line 2, column 8: not valid JSON: the text ends early/, lines);
  await fails('\n\n', /the file is empty/, lines);
});

test('text that is not UTF-8, and packed data, are refused', async () => {
  const lines = async (bytes: Buffer): Promise<unknown> => valuesOf(openJsonLines(await fileOf(bytes)));
  await assert.rejects(lines(Buffer.from('{}\n{"a": "\xff"}\n', 'latin1')), /line 2: the text is not valid UTF-8/);
  await assert.rejects(lines(Buffer.from([0x1f, 0x8b, 8, 0])), /this is gzip data/);
  await assert.rejects(lines(Buffer.from([0x50, 0x4b, 3, 4])), /this is a zip archive/);
});
