/** Fetching the needed files of a wheel: from a server of this machine that serves a small made wheel, with its faults. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { devNull, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { planFetch } from './fetch-wheel.js';
import type { KnownWheel } from './wheels.js';

const NAME = 'torch-9.9.9+cpu-cp311-cp311-manylinux_2_28_x86_64.whl';
const LIBRARY = randomBytes(3_000_000);
/** As large as the libraries that nobody needs: what is read in parts passes it by. */
const PYTHON_LIBRARY = randomBytes(2_000_000);
const FILES: Readonly<Record<string, Buffer>> = {
  'torch/__init__.py': Buffer.from('print(1)\n'.repeat(1000)),
  'torch/include/torch/headeronly/version.h': Buffer.from('#define TORCH_VERSION_MAJOR 9\n'),
  'torch/include/ATen/ATen.h': Buffer.from('// header\n'.repeat(500)),
  'torch/lib/libtorch_cpu.so': LIBRARY,
  'torch/lib/libtorch_python.so': PYTHON_LIBRARY,
  'torch/lib/libc10.so': Buffer.from('c10 '.repeat(10_000)),
  'torch-9.9.9+cpu.dist-info/licenses/LICENSE': Buffer.from('The licence.\n'),
};
const sha256 = (bytes: Buffer, encoding: 'hex' | 'base64url' = 'hex'): string =>
  createHash('sha256').update(bytes).digest(encoding);

/** A wheel of deflated files with its RECORD, which says of `lie` what is not so. */
function makeWheel(files: Readonly<Record<string, Buffer>>, lie = ''): { wheel: Buffer; record: Buffer } {
  const lines = Object.entries(files).map(
    ([name, bytes]) =>
      `${name},sha256=${sha256(name === lie ? Buffer.from('other') : bytes, 'base64url')},${bytes.length}`,
  );
  const record = Buffer.from(`${lines.join('\n')}\ntorch-9.9.9+cpu.dist-info/RECORD,,\n`);
  const bodies: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [name, bytes] of Object.entries({ ...files, 'torch-9.9.9+cpu.dist-info/RECORD': record })) {
    const packed = deflateRawSync(bytes);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(8, 8);
    local.writeUInt16LE(name.length, 26);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(8, 10);
    central.writeUInt32LE(packed.length, 20);
    central.writeUInt32LE(bytes.length, 24);
    central.writeUInt16LE(name.length, 28);
    central.writeUInt32LE(at, 42);
    bodies.push(local, Buffer.from(name), packed);
    directory.push(central, Buffer.from(name));
    at += 30 + name.length + packed.length;
  }
  const table = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(bodies.length / 3, 10);
  end.writeUInt32LE(table.length, 12);
  end.writeUInt32LE(at, 16);
  return { wheel: Buffer.concat([...bodies, table, end]), record };
}

describe('fetching a wheel', () => {
  const { wheel: honest, record } = makeWheel(FILES);
  const known: KnownWheel = { name: NAME, sha256: sha256(honest), recordSha256: sha256(record) };
  let home = '';
  let served = honest;
  /** First byte of each range that was asked for; -1 for the end, undefined for the whole. */
  let ranges: (number | undefined)[] = [];
  let sent = 0;
  let withRanges = true;
  /** Bytes after which the server breaks a connection, once. */
  let breakAfter = Number.POSITIVE_INFINITY;
  let page: (url: string) => string = () => '';
  const saved = { ...process.env };

  const answer = ({ url = '', headers }: IncomingMessage, response: ServerResponse): void => {
    if (url.endsWith('/simple/torch/')) {
      response.end(page(url));
      return;
    }
    if (!url.endsWith('.whl')) {
      response.writeHead(404).end();
      return;
    }
    const [, first, last] = (withRanges && /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? '')) || [];
    if (first === undefined) {
      ranges.push(undefined);
      response.setHeader('content-length', served.length);
      if (headers.range === undefined) sent += served.length;
      response.end(served);
      return;
    }
    const start = first === '' ? Math.max(0, served.length - Number(last)) : Number(first);
    const end = first === '' ? served.length - 1 : Number(last);
    ranges.push(first === '' ? -1 : start);
    response.writeHead(206, {
      'content-range': `bytes ${start}-${end}/${served.length}`,
      'content-length': end - start + 1,
    });
    const body = served.subarray(start, end + 1);
    if (first !== '') sent += body.length;
    if (first !== '' && body.length > breakAfter) {
      response.write(body.subarray(0, breakAfter), () => response.destroy());
      breakAfter = Number.POSITIVE_INFINITY;
    } else response.end(body);
  };
  const server = createServer(answer);
  const address = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  beforeEach(async () => {
    home = mkdtempSync(join(tmpdir(), 'commtorch wheel ä-'));
    await new Promise<void>((fulfil) => server.listen(0, '127.0.0.1', fulfil));
    served = honest;
    ranges = [];
    sent = 0;
    withRanges = true;
    breakAfter = Number.POSITIVE_INFINITY;
    page = () => JSON.stringify({ files: [{ filename: NAME, url: `../../files/${encodeURIComponent(NAME)}` }] });
    for (const name of Object.keys(process.env)) if (/^pip_|proxy$/i.test(name)) delete process.env[name];
    Object.assign(process.env, { PIP_CONFIG_FILE: devNull, PIP_INDEX_URL: `${address()}/simple` });
  });
  afterEach(async () => {
    for (const name of Object.keys(process.env)) if (/^pip_|proxy$/i.test(name)) delete process.env[name];
    Object.assign(process.env, saved);
    server.closeAllConnections();
    await new Promise((fulfil) => server.close(fulfil));
    rmSync(home, { recursive: true, force: true });
  });

  const target = (): string => join(home, 'libtorch');
  const plan = async (settings: { headers?: boolean; wheel?: KnownWheel } = {}) => {
    const { headers = true, wheel = known } = settings;
    const failed = (text: string): void => assert.fail(text);
    return (await planFetch({ home, headers, failed, wheels: [wheel] }))!;
  };
  const run = async (settings: Parameters<typeof plan>[0] = {}, signal?: AbortSignal): Promise<string[]> => {
    const said: string[] = [];
    await (await plan(settings)).fetch(target(), { report: (text) => said.push(text), signal });
    return said;
  };
  const listFiles = (): string[] =>
    readdirSync(target(), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name)
      .sort();

  test('reads what is needed and nothing of the rest', async () => {
    await run();
    assert.deepEqual(readFileSync(join(target(), 'torch', 'lib', 'libtorch_cpu.so')), LIBRARY);
    const wanted = ['ATen.h', 'LICENSE', 'ORIGIN.txt', 'libc10.so', 'libtorch_cpu.so', 'version.h'];
    assert.deepEqual(listFiles(), wanted);
    assert.ok(sent < honest.length - 1_900_000, `${sent} of ${honest.length} bytes were sent`);
    assert.deepEqual(readdirSync(home), ['libtorch']);
  });

  test('says sizes first, and fetches no headers where nothing is compiled', async () => {
    const { downloadBytes, diskBytes, from } = await plan({ headers: false });
    assert.equal(sent, 0);
    assert.equal(diskBytes, 3_000_000 + 40_000 + 30 + 13);
    assert.ok(downloadBytes > 3_000_000 && downloadBytes < 3_100_000, `${downloadBytes}`);
    assert.ok(from.startsWith(`${address()}/files/`));
    await run({ headers: false });
    assert.ok(!listFiles().includes('ATen.h') && listFiles().includes('version.h'));
  });

  test('an index in HTML is read too, and a password is not shown', async () => {
    page = () => `<a href="../../files/${NAME.replace('+', '%2B')}#sha256=00" data-x>x</a>`;
    process.env.PIP_INDEX_URL = `${address().replace('//', '//user:secret@')}/simple`;
    assert.doesNotMatch((await plan()).from, /secret/);
    await run();
    assert.ok(listFiles().includes('libc10.so'));
  });

  test('a connection that breaks is gone on with behind what came', async () => {
    breakAfter = 1_000_000;
    const said = await run();
    assert.match(said.join('\n'), /once more/);
    const starts = ranges.filter((first) => first !== undefined && first >= 0) as number[];
    assert.ok(starts.some((first, i) => i > 0 && first > starts[i - 1]! && first < starts[i - 1]! + 2_000_000));
    assert.ok(sent < 2 * 3_100_000);
    assert.deepEqual(readFileSync(join(target(), 'torch', 'lib', 'libtorch_cpu.so')), LIBRARY);
  });

  test('an interrupted fetch leaves no libtorch, and the next one goes on', async () => {
    breakAfter = 1_000_000;
    const controller = new AbortController();
    const { fetch } = await plan();
    const stopped = fetch(target(), { report: () => controller.abort(), signal: controller.signal });
    await assert.rejects(stopped);
    assert.ok(!existsSync(target()));
    const before = sent;
    await run();
    assert.ok(sent - before < 2_200_000, `${sent - before} bytes again`);
    assert.deepEqual(readdirSync(home), ['libtorch']);
  });

  test('a server without parts, or a wheel without a known list of files, is fetched whole and checked whole', async () => {
    await run({ wheel: { ...known, recordSha256: undefined } });
    assert.ok(listFiles().includes('libtorch_cpu.so') && !listFiles().includes('libtorch_python.so'));
    rmSync(target(), { recursive: true });
    withRanges = false;
    await run();
    assert.ok(listFiles().includes('libtorch_cpu.so') && !listFiles().includes('libtorch_python.so'));
    rmSync(target(), { recursive: true });
    await assert.rejects(run({ wheel: { ...known, sha256: '0'.repeat(64) } }), /is not the file that it was/);
    assert.deepEqual(readdirSync(home), []);
  });

  test('a file that is not as listed is refused, and so is another list', async () => {
    served = Buffer.from(honest);
    const place = served.indexOf(LIBRARY.subarray(1_000_000, 1_000_016));
    served[place]! ^= 1;
    await assert.rejects(run(), /libtorch_cpu\.so is not the file that it was/);
    assert.deepEqual(readdirSync(home), []);
    const lying = makeWheel(FILES, 'torch/lib/libc10.so');
    served = lying.wheel;
    await assert.rejects(plan(), /RECORD of .* is not the file that it was/);
    await assert.rejects(
      run({ wheel: { ...known, recordSha256: sha256(lying.record) } }),
      /libc10\.so is not the file that it was/,
    );
    assert.deepEqual(readdirSync(home), []);
  });

  test('a wheel that leads outside the folder is refused', async () => {
    const evil = makeWheel({ ...FILES, 'torch/include/../../../../evil.h': Buffer.from('x') });
    served = evil.wheel;
    await assert.rejects(run({ wheel: { ...known, recordSha256: sha256(evil.record) } }), /it has a file outside/);
    assert.deepEqual(readdirSync(home), []);
  });

  test('a folder of wheels costs no download', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'commtorch-links-'));
    try {
      writeFileSync(join(folder, NAME), honest);
      process.env.PIP_FIND_LINKS = folder;
      assert.equal((await plan()).downloadBytes, 0);
      await run();
      assert.equal(ranges.length, 0);
      assert.ok(listFiles().includes('libtorch_cpu.so'));
      assert.ok(existsSync(join(folder, NAME)));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('requests go through the proxy that is set, except to hosts without one', async () => {
    const proxied: string[] = [];
    const proxy = createServer((request, response) => {
      proxied.push(request.url ?? '');
      answer(Object.assign(request, { url: new URL(request.url ?? '').pathname }), response);
    });
    await new Promise<void>((fulfil) => proxy.listen(0, '127.0.0.1', fulfil));
    try {
      process.env.http_proxy = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
      process.env.PIP_INDEX_URL = 'http://index.invalid/simple';
      await run();
      assert.ok(proxied.length >= 3 && proxied.every((url) => url.startsWith('http://index.invalid/')), `${proxied}`);
      const before = proxied.length;
      process.env.no_proxy = '127.0.0.1';
      process.env.PIP_INDEX_URL = `${address()}/simple`;
      await plan();
      assert.equal(proxied.length, before);
    } finally {
      proxy.closeAllConnections();
      await new Promise((fulfil) => proxy.close(fulfil));
    }
  });
});
