/** Whatever lies at a path: the bytes, or one sentence, at once. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { standInOf } from '@commlm/torch/files';
import { CommError } from '../config/errors.js';
import { checkFile, readBytes, readBytesAsync, readJson, readText } from './read.js';

const folder = mkdtempSync(join(tmpdir(), 'files-'));
after(() => rmSync(folder, { recursive: true }));
const what = 'the configuration';

function lay(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** Runs a reader and gives the sentence of its error. */
function refusal(read: () => unknown, code: string): string {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof CommError, String(error));
    assert.equal(error.code, code, error.message);
    assert.ok(error.fix !== undefined);
    return error.message;
  }
  assert.fail(`nothing was refused; ${code} was expected`);
}

test('a file is read whole', async () => {
  const path = lay('plain.json', '{"a": [1, 2]}');
  assert.deepEqual(readJson(path, { what }), { a: [1, 2] });
  assert.equal((await readBytesAsync(path, { what })).length, 13);
  assert.equal(readText(lay('bom.txt', '\ufeffa'), { what }), 'a');
  assert.equal(readBytes(lay('empty', ''), { what }).length, 0);
});

test('pipes, devices, sockets and folders are refused at once, also behind links', {
  skip: process.platform === 'win32',
}, async () => {
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const link = join(folder, 'link');
  symlinkSync('/dev/zero', link);
  const socket = join(folder, 'socket');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  try {
    assert.match(
      refusal(() => readBytes(pipe, { what }), 'file/not-regular'),
      /pipe is a named pipe, not a file for the configuration/,
    );
    assert.match(
      refusal(() => readBytes(link, { what }), 'file/not-regular'),
      /is a device/,
    );
    assert.match(
      refusal(() => readBytes('/dev/urandom', { what }), 'file/not-regular'),
      /is a device/,
    );
    assert.match(
      refusal(() => checkFile(socket, what), 'file/not-regular'),
      /is a socket/,
    );
    assert.match(
      refusal(() => readBytes(folder, { what }), 'file/not-regular'),
      /is a folder/,
    );
    await assert.rejects(readBytesAsync(pipe, { what }), { code: 'file/not-regular' });
  } finally {
    server.close();
  }
});

test('absent files, circles of links and sizes beyond the limit have a sentence each', () => {
  refusal(() => readBytes(join(folder, 'absent'), { what }), 'file/missing');
  const circle = join(folder, 'circle');
  symlinkSync(circle, circle);
  assert.match(
    refusal(() => readBytes(circle, { what }), 'file/unreadable'),
    /in a circle/,
  );
  assert.match(
    refusal(() => readBytes(lay('large', 'abcdef'), { what, limitBytes: 5 }), 'file/too-large'),
    /has 6 bytes, more than the 5/,
  );
});

test('what lies in the place of a file is named', () => {
  const named: readonly (readonly [string, RegExp])[] = [
    ['version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 12345\n', /Git LFS pointer/],
    ['/annex/objects/SHA256E-s1048576--aa.png\n', /git-annex pointer/],
    ['<!DOCTYPE html>\n<html><head></head></html>', /HTML page/],
    ['\ufeff \n<!-- saved from url -->\n<HTML lang="en">', /HTML page/],
    ['{"error":"Repository not found"}', /Repository not found/],
    ['{\n  "message": "Not Found",\n  "documentation_url": "https://x/y",\n  "status": "404"\n}', /"Not Found"/],
    ['{"detail":"Unauthorized"}', /Unauthorized/],
    ['<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>', /XML/],
    ['Entry not found', /Entry not found/],
    ['Invalid username or password.', /Invalid username/],
    ['404: Not Found', /404: Not Found/],
    ['Access to model a/b is restricted. You must be authenticated to access it.', /is restricted/],
  ];
  for (const [i, [content, expected]] of named.entries()) {
    const message = refusal(() => readBytes(lay(`stand-in-${i}`, content), { what }), 'file/stand-in');
    assert.match(message, expected);
    assert.match(message, /not the file itself\.$/);
  }
});

test('what only looks a little like a stand-in is read', () => {
  const files = [
    '{"error": "none", "model_type": "llama"}',
    '{"architectures": ["A"], "message": "hello"}',
    '{}',
    'not found in the picture',
    'There is an error in the picture.',
    '{"question_id": 1, "text": "404: Not Found"}',
    'forbidden city, a palace'.repeat(400),
    '<?xml version="1.0"?><svg/>',
    '{"error": "x"',
  ];
  for (const content of files) assert.equal(standInOf(Buffer.from(content)), undefined, content.slice(0, 60));
  // The same text at the beginning of a longer file is no error message.
  assert.equal(standInOf(Buffer.from('{"error":"x"}'), 1e6), undefined);
  assert.equal(standInOf(Uint8Array.from([0x89, 0x50, 0x4e, 0x47])), undefined);
});

test('JSON that is cut, deep or no UTF-8 has a sentence with its place', () => {
  assert.match(
    refusal(() => readJson(lay('cut.json', '{"a": 1,\n"b"'), { what }), 'file/bad-json'),
    /line 2/,
  );
  assert.match(
    refusal(() => readJson(lay('deep.json', '['.repeat(2e6)), { what }), 'file/bad-json'),
    /more than 200 levels/,
  );
  assert.deepEqual(readJson(lay('flat.json', JSON.stringify('['.repeat(1000))), { what }), '['.repeat(1000));
  refusal(() => readText(lay('latin.txt', Uint8Array.from([0x63, 0xe9])), { what }), 'file/not-text');
});
