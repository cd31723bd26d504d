/** The hub client against a local hub: what is written, what is asked for, and every way in which it can go wrong. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CommError } from '../config/errors.js';
import { findCachedModel, ModelCache } from './cache.js';
import { parseHubId } from './hub-id.js';
import { gitHash, type HostedFile, LocalHub, rangeStart, refuse, sendFile, sha256 } from './local-hub.fixture.js';
import { resolveModelFolder } from './model-folder.js';
import { type PullOptions, pullModel } from './pull.js';
import { type HubSettings, readHubSettings } from './settings.js';

/** In memory where that can be had: every file is flushed to its disk, which a busy one takes seconds for. */
const SCRATCH = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const COMMIT = 'a'.repeat(40);
const MODEL = 'org/tiny-vlm';
const FOLDER = 'models--org--tiny-vlm';

const bytes = (length: number, seed: number): Buffer => {
  const out = Buffer.alloc(length);
  let state = seed >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = state >>> 24;
  }
  return out;
};

const WEIGHTS = bytes(3_500_000, 1);
const plain = (text: string): HostedFile => ({ content: Buffer.from(text), lfs: false });

const FILES = new Map<string, HostedFile>([
  ['.gitattributes', plain('*.safetensors filter=lfs\n')],
  ['README.md', plain('# A model\n')],
  ['config.json', plain('{"model_type": "llava"}')],
  ['empty.json', plain('')],
  ['model.safetensors', { content: WEIGHTS, lfs: true }],
  ['pytorch_model.bin', { content: bytes(1000, 2), lfs: true }],
  ['sub/notes [1].txt', plain('in a folder')],
  ['tokenizer.json', plain('{}')],
]);
const NEEDED = ['README.md', 'config.json', 'empty.json', 'model.safetensors', 'sub/notes [1].txt', 'tokenizer.json'];

/** The result of a fault that answered. */
const answered = (_: unknown): true => true;

let hub: LocalHub;
let cacheDir = '';

before(async () => {
  hub = await LocalHub.start();
});
after(() => hub.stop());
beforeEach(() => {
  cacheDir = mkdtempSync(join(SCRATCH, 'commlm-hub-'));
  hub.models.clear();
  hub.models.set(MODEL, { commit: COMMIT, refs: ['main', 'v1', 'refs/pr/2'], files: FILES });
  hub.seen.length = 0;
  hub.fault = undefined;
  hub.pageSize = 1000;
});
afterEach(() => rmSync(cacheDir, { recursive: true, force: true }));

const settings = (changes: Partial<HubSettings> = {}): HubSettings => ({
  cacheDir,
  endpoint: hub.endpoint,
  offline: false,
  metadataTimeoutMs: 10_000,
  downloadTimeoutMs: 10_000,
  retry: { attempts: 4, baseMs: 5 },
  ...changes,
});
const pull = (options: PullOptions = {}, model = MODEL): ReturnType<typeof pullModel> =>
  pullModel(model, { settings: settings(), ...options });
const withToken = (value: string): HubSettings => settings({ token: { value, source: 'HF_TOKEN' } });
const at = (...parts: string[]): string => join(cacheDir, FOLDER, ...parts);
const blobs = (): string[] => (existsSync(at('blobs')) ? readdirSync(at('blobs')).sort() : []);
const weightsBlob = sha256(WEIGHTS);

async function fails(promise: Promise<unknown>, code: string, message: RegExp): Promise<CommError> {
  const error = await promise.then(
    () => assert.fail(`expected ${code}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof CommError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  assert.match(error.message, /^[^\n]*\.$/);
  return error;
}

test('a model arrives in the layout that Python shares', async () => {
  const result = await pull();
  assert.equal(result.folder, at('snapshots', COMMIT));
  assert.deepEqual(result.files.map(({ path }) => path).sort(), NEEDED);
  assert.ok(result.files.every(({ status, verified }) => status === 'downloaded' && verified === 'hash'));
  assert.equal(result.downloadedBytes, result.totalBytes);
  for (const path of NEEDED) {
    const { content, lfs } = FILES.get(path) as HostedFile;
    assert.deepEqual(readFileSync(join(result.folder, path)), content);
    const up = path.includes('/') ? '../../..' : '../..';
    const etag = lfs ? sha256(content) : gitHash(content);
    assert.equal(readlinkSync(join(result.folder, path)), `${up}/blobs/${etag}`);
  }
  assert.equal(readFileSync(at('refs', 'main'), 'utf8'), COMMIT);
  assert.deepEqual(readdirSync(join(cacheDir, '.locks', FOLDER)), []);
  assert.ok(!blobs().some((name) => name.endsWith('.incomplete')));
});

test('a second pull asks for no file, and follows a branch that moved', async () => {
  await pull();
  hub.seen.length = 0;
  const again = await pull();
  assert.equal(again.downloadedBytes, 0);
  assert.deepEqual(hub.downloads, []);
  const files = new Map(FILES).set('config.json', plain('{"model_type": "llava", "new": 1}'));
  hub.models.set(MODEL, { commit: 'b'.repeat(40), refs: ['main'], files });
  const moved = await pull();
  assert.deepEqual(
    hub.downloads.map(({ path }) => path),
    [`/${MODEL}/resolve/${'b'.repeat(40)}/config.json`],
  );
  assert.equal(readFileSync(at('refs', 'main'), 'utf8'), moved.commit);
  assert.ok(existsSync(at('snapshots', COMMIT, 'model.safetensors')));
});

test('revisions: tags, pull requests and commits; listings of several pages', async () => {
  hub.pageSize = 2;
  assert.equal((await pull({}, `${MODEL}@refs/pr/2`)).commit, COMMIT);
  assert.equal(readFileSync(at('refs', 'refs', 'pr', '2'), 'utf8'), COMMIT);
  assert.equal((await pull({ revision: 'v1' })).files.length, NEEDED.length);
  assert.equal((await pull({ revision: COMMIT })).commit, COMMIT);
  assert.deepEqual(readdirSync(at('refs')).sort(), ['refs', 'v1']);
});

test('include and exclude', async () => {
  const paths = async (options: PullOptions): Promise<string[]> =>
    (await pull({ dryRun: true, ...options })).files.map(({ path }) => path).sort();
  assert.deepEqual(await paths({ include: ['*.bin', 'conf*'] }), ['config.json', 'pytorch_model.bin']);
  assert.deepEqual(await paths({ include: ['*.json'], exclude: ['t*'] }), ['config.json', 'empty.json']);
  assert.deepEqual(await paths({ include: ['sub/'] }), ['sub/notes [1].txt']);
  assert.deepEqual(await paths({ include: ['*'] }), [...FILES.keys()].sort());
  assert.ok(!existsSync(at()), 'a dry run writes nothing');
  await fails(pull({ include: ['*.onnx'] }), 'hub/nothing-chosen', /No file/);
});

test('the token goes to the hub alone', async () => {
  hub.models.set(MODEL, { commit: COMMIT, refs: ['main'], files: FILES, access: 'private' });
  await pull({ settings: withToken(hub.token) });
  assert.ok(hub.seen.some(({ host }) => host === 'storage'));
  for (const { host, authorization } of hub.seen) {
    assert.equal(authorization, host === 'hub' ? `Bearer ${hub.token}` : undefined);
  }
});

test('refusals have their own sentences', async () => {
  await fails(pull({}, 'org/nothing'), 'hub/no-model', /no public model org\/nothing/);
  await fails(pull({ settings: withToken(hub.token) }, 'org/nothing'), 'hub/no-model', /token in HF_TOKEN can see/);
  await fails(pull({ revision: 'v9' }), 'hub/no-revision', /no revision "v9"/);
  await fails(pull({ settings: withToken('hf_wrong') }), 'hub/bad-token', /refused the token in HF_TOKEN/);
  hub.models.set(MODEL, { commit: COMMIT, refs: ['main'], files: FILES, access: 'gated' });
  const gated = await fails(pull(), 'hub/gated', /gated/);
  assert.match(gated.fix ?? '', /HF_TOKEN/);
  assert.deepEqual(
    blobs().filter((name) => !name.endsWith('.incomplete') && name !== gitHash(Buffer.alloc(0))),
    [],
  );
  hub.models.set(MODEL, { commit: COMMIT, refs: ['main'], files: FILES });
  hub.fault = ({ path }, response) => path.includes('resolve') && answered(refuse(response, 404, 'EntryNotFound'));
  await fails(pull(), 'hub/no-file', /no file/);
  hub.fault = (_, response) => answered(response.end('<html>log in</html>'));
  await fails(pull(), 'hub/not-a-hub', /not JSON/);
  for (const id of ['tiny', 'a/b/c', '../x', 'a--b/c', 'a/b.git', 'a/b@', 'a/b@../x', '-a/b', `a/${'x'.repeat(99)}`]) {
    const error = await fails(pull({}, id), 'hub/bad-id', /no (hub id|revision)/);
    assert.equal(error.exitCode, 2);
  }
  await fails(pull({ revision: 'v1' }, `${MODEL}@main`), 'hub/bad-id', /Two revisions/);
});

test('an endpoint that is not there is said at once', async () => {
  const gone = await LocalHub.start();
  const { endpoint } = gone;
  await gone.stop();
  const started = Date.now();
  const error = await fails(
    pull({ settings: settings({ endpoint, retry: { attempts: 6, baseMs: 5000 } }) }),
    'hub/unreachable',
    /127\.0\.0\.1:\d+: the connection was refused/,
  );
  assert.match(error.fix ?? '', /HF_ENDPOINT/);
  assert.ok(Date.now() - started < 2000);
});

test('failures of the hub are tried again, and 429 waits as long as it asks', async () => {
  const left = new Map([
    [500, 1],
    [429, 1],
    [503, 1],
  ]);
  let waited = 0;
  hub.fault = ({ host }, response) => {
    for (const [status, times] of left) {
      if (times === 0 || host !== 'hub') continue;
      left.set(status, times - 1);
      if (status === 429) {
        response.setHeader('retry-after', '1');
        waited = Date.now();
      } else if (waited > 0) waited = Date.now() - waited;
      refuse(response, status);
      return true;
    }
    return false;
  };
  const notes: string[] = [];
  await pull({ onNote: (line) => notes.push(line) });
  assert.equal(notes.length, 3, notes.join('\n'));
  assert.ok(waited >= 990, `waited ${waited} ms`);
  hub.fault = (_, response) => answered(refuse(response, 502));
  await fails(pull(), 'hub/server-error', /status 502/);
  hub.fault = (_, response) => answered(refuse(response, 429));
  await fails(pull(), 'hub/rate-limit', /no more requests/);
});

test('dropped connections go on where they broke, as often as it takes', async () => {
  let drops = 0;
  hub.fault = (seen, response, file) => {
    if (seen.host !== 'storage' || file === undefined || drops >= 8) return false;
    drops++;
    const start = rangeStart(seen.range);
    response.writeHead(seen.range ? 206 : 200, {
      'content-length': file.content.length - start,
      ...(seen.range ? { 'content-range': `bytes ${start}-${file.content.length - 1}/${file.content.length}` } : {}),
    });
    response.write(file.content.subarray(start, start + 300_000), () => setTimeout(() => response.destroy(), 20));
    return true;
  };
  const result = await pull({ parallel: 1 });
  assert.equal(drops, 8, 'more drops than tries: each brought something on');
  assert.deepEqual(readFileSync(join(result.folder, 'model.safetensors')), WEIGHTS);
  const ranges = hub.seen.filter(({ host }) => host === 'storage').map(({ range }) => rangeStart(range));
  assert.ok(
    ranges.every((start, i) => i === 0 || start > ranges[i - 1]!),
    ranges.join(' '),
  );
});

test('silence counts as a dropped connection', async () => {
  let silent = 0;
  hub.fault = ({ host }) => host === 'storage' && silent++ === 0; // never answers
  await pull({ settings: settings({ downloadTimeoutMs: 1000 }) });
  hub.fault = ({ host }) => host === 'storage';
  rmSync(cacheDir, { recursive: true });
  await fails(
    pull({ settings: settings({ downloadTimeoutMs: 200, retry: { attempts: 2, baseMs: 5 } }) }),
    'hub/unreachable',
    /silent for 0\.2 s/,
  );
});

test('servers without ranges, and partial files that are too long or complete', async () => {
  mkdirSync(at('blobs'), { recursive: true });
  const partial = at('blobs', `${weightsBlob}.incomplete`);
  writeFileSync(partial, WEIGHTS.subarray(0, 1_000_000));
  hub.fault = (seen, response, file) =>
    seen.host === 'storage' &&
    file !== undefined &&
    answered(sendFile({ ...seen, range: undefined }, response, file, weightsBlob));
  assert.deepEqual(readFileSync(join((await pull()).folder, 'model.safetensors')), WEIGHTS);
  hub.fault = undefined;
  for (const content of [WEIGHTS, Buffer.concat([WEIGHTS, WEIGHTS])]) {
    rmSync(at('blobs', weightsBlob));
    writeFileSync(partial, content);
    hub.seen.length = 0;
    await pull();
    assert.deepEqual(readFileSync(at('blobs', weightsBlob)), WEIGHTS);
    assert.equal(hub.downloads.length, content === WEIGHTS ? 0 : 2);
  }
});

test('a wrong hash never gets the name', async () => {
  const damaged = Buffer.from(WEIGHTS);
  damaged[2_000_000] = damaged[2_000_000]! ^ 1;
  let times = 1;
  hub.fault = (seen, response) =>
    seen.host === 'storage' &&
    times-- > 0 &&
    answered(sendFile(seen, response, { content: damaged, lfs: true }, weightsBlob));
  const notes: string[] = [];
  await pull({ onNote: (line) => notes.push(line) });
  assert.match(notes.join('\n'), /hash is wrong/);
  rmSync(at('blobs', weightsBlob));
  rmSync(at('snapshots'), { recursive: true });
  times = 100;
  await fails(pull(), 'hub/hash-mismatch', /is not that file/);
  assert.ok(!blobs().some((name) => name.startsWith(weightsBlob)), blobs().join(' '));
  assert.ok(!existsSync(at('snapshots')), 'no snapshot of a download that failed');
});

test('a damaged beginning of an earlier try is found out and downloaded again', async () => {
  mkdirSync(at('blobs'), { recursive: true });
  writeFileSync(at('blobs', `${weightsBlob}.incomplete`), Buffer.alloc(1_000_000));
  assert.deepEqual(readFileSync(join((await pull()).folder, 'model.safetensors')), WEIGHTS);
});

test('git hashes and lengths are checked too', async () => {
  hub.fault = (seen, response) =>
    /resolve.*config/.test(seen.path) && answered(sendFile(seen, response, plain('{"model_type": "LLAVA"}'), 'x'));
  await fails(pull(), 'hub/hash-mismatch', /config\.json/);
  hub.fault = (seen, response) =>
    /resolve.*config/.test(seen.path) && answered(sendFile(seen, response, plain('x'.repeat(99)), 'x'));
  await fails(pull(), 'hub/not-a-hub', /config\.json has 23 B in its listing, but it sends 99 B/);
});

test('--verify finds a file that was damaged on disk', async () => {
  await pull();
  const damaged = Buffer.from(WEIGHTS);
  damaged[5] = 255 - damaged[5]!;
  writeFileSync(at('blobs', weightsBlob), damaged);
  await pull();
  assert.deepEqual(readFileSync(at('blobs', weightsBlob)), damaged);
  await pull({ verify: true });
  assert.deepEqual(readFileSync(at('blobs', weightsBlob)), WEIGHTS);
});

test('hostile listings and redirects are refused', async () => {
  for (const path of ['../../evil', '/etc/x', 'a//b', 'a\\..\\b', 'c:x', '.', '']) {
    hub.models.set(MODEL, { commit: COMMIT, refs: ['main'], files: new Map([[path, plain('x')]]) });
    await fails(pull({ include: ['*'] }), 'hub/not-a-hub', /lists a file with the name/);
  }
  hub.models.set(MODEL, { commit: '../../evil', refs: ['main'], files: FILES });
  await fails(pull(), 'hub/not-a-hub', /no commit/);
  hub.models.set(MODEL, { commit: COMMIT, refs: ['main'], files: FILES });
  hub.fault = ({ path }, response) => answered(response.writeHead(302, { location: path }).end());
  hub.seen.length = 0;
  await fails(pull(), 'hub/not-a-hub', /redirects for ever/);
  assert.equal(hub.seen.length, 11, 'a circle is not asked again');
  hub.fault = ({ host, path }, response) =>
    host === 'storage' && answered(response.writeHead(302, { location: path }).end());
  hub.seen.length = 0;
  await fails(pull({ include: ['model.safetensors'] }), 'hub/not-a-hub', /redirects for ever/);
  assert.equal(hub.seen.filter(({ host }) => host === 'storage').length, 10);
  hub.fault = (_, response) => answered(response.writeHead(302, { location: 'file:///etc/passwd' }).end());
  await fails(pull(), 'hub/not-a-hub', /redirects to/);
});

test('two files that share a tag which is no hash stay two files', async () => {
  const files = new Map([...FILES].filter(([path]) => !path.startsWith('sub/')));
  hub.models.set(MODEL, { commit: COMMIT, refs: ['main'], files });
  hub.fault = ({ method, path }, response, file) => {
    if (path.includes('/tree/')) {
      const entries = [...files].map(([name]) => ({ type: 'file', path: name }));
      return answered(response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(entries)));
    }
    if (file === undefined || method !== 'HEAD') return false;
    response.writeHead(200, { etag: 'W/"tag-1"', 'content-length': file.content.length }).end();
    return true;
  };
  const { folder, files: pulled } = await pull();
  assert.ok(pulled.every(({ verified }) => verified === 'size'));
  for (const name of ['README.md', 'config.json', 'tokenizer.json', 'model.safetensors']) {
    assert.deepEqual(readFileSync(join(folder, name)), files.get(name)?.content, name);
  }
  hub.seen.length = 0;
  assert.equal((await pull()).downloadedBytes, 0);
  assert.deepEqual(hub.downloads, []);
});

test('a snapshot appears whole or not at all, and what makes it a model comes last', {
  skip: process.platform === 'win32',
}, async () => {
  // Links cannot be laid: a file stands where they are gathered.
  mkdirSync(at(), { recursive: true });
  writeFileSync(at('incoming'), '');
  await fails(pull(), 'hub/cache', /Cannot write/);
  assert.ok(!existsSync(at('snapshots', COMMIT)) && !existsSync(at('refs', 'main')));
  assert.equal(findCachedModel(parseHubId(MODEL), cacheDir), undefined);
  rmSync(at('incoming'));
  const { folder } = await pull({ include: ['README.md'] });
  // A folder stands at the place of a file: the rest arrives up to it, and never config.json.
  mkdirSync(join(folder, 'tokenizer.json', 'x'), { recursive: true });
  await fails(pull(), 'hub/cache', /Cannot write/);
  assert.ok(!existsSync(join(folder, 'config.json')));
  rmSync(join(folder, 'tokenizer.json'), { recursive: true });
  await pull();
  assert.deepEqual(findCachedModel(parseHubId(MODEL), cacheDir)?.missing, []);
  assert.deepEqual(readdirSync(at()).sort(), ['blobs', 'refs', 'snapshots']);
});

test('what a trainer lays beside an adapter comes with it', async () => {
  const files = new Map<string, HostedFile>([
    ['adapter_config.json', plain('{}')],
    ['adapter_model.safetensors', { content: bytes(100, 3), lfs: true }],
    ['non_lora_trainables.bin', { content: bytes(100, 4), lfs: true }],
    ['training_args.bin', { content: bytes(100, 5), lfs: true }],
  ]);
  hub.models.set(MODEL, { commit: COMMIT, refs: ['main'], files });
  const { files: pulled } = await pull();
  assert.deepEqual(pulled.map(({ path }) => path).sort(), [
    'adapter_config.json',
    'adapter_model.safetensors',
    'non_lora_trainables.bin',
  ]);
});

test('a model that moved is followed on the same host, with the token', async () => {
  hub.fault = ({ path }, response) => {
    if (!path.includes('org/old-name')) return false;
    response.writeHead(307, { location: path.replace('org/old-name', MODEL) }).end();
    return true;
  };
  const result = await pull({ settings: withToken(hub.token) }, 'org/old-name');
  assert.deepEqual(readFileSync(join(result.folder, 'model.safetensors')), WEIGHTS);
});

test('a full disk says so and keeps what it has', async () => {
  mkdirSync(at('blobs'), { recursive: true });
  symlinkSync('/dev/full', at('blobs', `${weightsBlob}.incomplete`));
  const error = await fails(pull(), 'hub/disk-full', /disk is full/);
  assert.match(error.fix ?? '', /HF_HOME/);
  assert.ok(!existsSync(at('blobs', weightsBlob)) && !existsSync(at('snapshots')));
  rmSync(at('blobs', `${weightsBlob}.incomplete`));
  hub.fault = (seen, response) => {
    if (!seen.path.includes('/tree/')) return false;
    const lfs = { oid: 'c'.repeat(64), size: 2 ** 50 };
    response.end(
      JSON.stringify([{ type: 'file', path: 'model.safetensors', oid: 'd'.repeat(40), size: 2 ** 50, lfs }]),
    );
    return true;
  };
  await fails(pull(), 'hub/disk-full', /needs 1125\.9 TB/);
});

test('offline: the cache alone, and what it lacks', async () => {
  const offline = settings({ offline: true });
  await fails(
    pull({ settings: offline }),
    'hub/offline',
    /HF_HUB_OFFLINE is set, and the model org\/tiny-vlm is not in/,
  );
  await pull();
  hub.seen.length = 0;
  const result = await pull({ settings: offline });
  assert.equal(result.folder, at('snapshots', COMMIT));
  assert.equal(result.offline, true);
  rmSync(at('blobs', weightsBlob));
  await fails(pull({ settings: offline }), 'hub/offline', /model\.safetensors, the weights is missing/);
  assert.deepEqual(hub.seen, []);
});

test('what a cached copy lacks: shards, indexes, listings', () => {
  const folder = at('snapshots', COMMIT);
  const cache = new ModelCache(cacheDir, MODEL);
  const put = (name: string, text = '{}'): void => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  };
  assert.deepEqual(cache.missing(COMMIT), ['every file']);
  put('tokenizer.json');
  assert.deepEqual(cache.missing(COMMIT), ['config.json', 'the weights']);
  put('config.json');
  put('model-00002-of-00002.safetensors');
  assert.deepEqual(cache.missing(COMMIT), ['model-00001-of-00002.safetensors']);
  put('model-00001-of-00002.safetensors');
  assert.deepEqual(cache.missing(COMMIT), []);
  put('model.safetensors.index.json', JSON.stringify({ weight_map: { a: 'other.safetensors' } }));
  assert.deepEqual(cache.missing(COMMIT), ['other.safetensors']);
  put('other.safetensors');
  mkdirSync(at('trees'));
  writeFileSync(
    at('trees', `${COMMIT}.json`),
    JSON.stringify({ files: { 'generation_config.json': {}, 'x.onnx': {} } }),
  );
  assert.deepEqual(cache.missing(COMMIT), ['generation_config.json']);
});

test('a model argument resolves through the cache without the network', async () => {
  await pull();
  hub.seen.length = 0;
  const saved = { ...process.env };
  try {
    process.env['HF_HUB_CACHE'] = cacheDir;
    assert.equal(resolveModelFolder(MODEL), at('snapshots', COMMIT));
    assert.equal(resolveModelFolder(`${MODEL}@${COMMIT}`), at('snapshots', COMMIT));
    assert.throws(() => resolveModelFolder(`${MODEL}@v1`), /There is no model folder/);
    rmSync(at('blobs', weightsBlob));
    assert.throws(() => resolveModelFolder(MODEL), /not whole: model\.safetensors/);
  } finally {
    process.env = saved;
  }
  assert.deepEqual(hub.seen, []);
});

test('an interruption keeps what is there and throws its reason', async () => {
  const controller = new AbortController();
  const reason = new CommError('Interrupted.', { code: 'cli/interrupted', exitCode: 130 });
  hub.fault = (seen, response, file) => {
    if (seen.host !== 'storage' || file === undefined) return false;
    response.writeHead(200, { 'content-length': file.content.length });
    response.write(file.content.subarray(0, 1_500_000), () => setTimeout(() => controller.abort(reason), 100));
    return true;
  };
  await assert.rejects(pull({ signal: controller.signal }), (error) => error === reason);
  const { size } = { size: new ModelCache(cacheDir, MODEL).partialSize(weightsBlob) };
  assert.ok(size >= 1_000_000 && size < WEIGHTS.length, `${size} bytes kept`);
  assert.deepEqual(readdirSync(join(cacheDir, '.locks', FOLDER)), []);
  hub.fault = undefined;
  const result = await pull();
  assert.equal(result.files.find(({ path }) => path === 'model.safetensors')?.status, 'resumed');
  assert.equal(rangeStart(hub.downloads.at(-1)?.range), size);
});

test('two pulls at once download each file once', async () => {
  hub.fault = (seen, response, file) => {
    if (seen.host !== 'storage' || file === undefined) return false;
    setTimeout(() => sendFile(seen, response, file, weightsBlob), 300);
    return true;
  };
  const results = await Promise.all([pull(), pull(), pull()]);
  for (const { folder } of results) assert.deepEqual(readFileSync(join(folder, 'model.safetensors')), WEIGHTS);
  assert.equal(hub.downloads.filter(({ host }) => host === 'storage').length, 1);
});

test('a lock of a dead process and one that fell silent are taken over', async () => {
  const cache = new ModelCache(cacheDir, MODEL);
  const lock = cache.lock(weightsBlob);
  mkdirSync(dirname(lock), { recursive: true });
  const child = spawn(process.execPath, ['-e', '0']);
  await once(child, 'exit');
  const { hostname } = await import('node:os');
  writeFileSync(lock, JSON.stringify({ pid: child.pid, host: hostname(), token: 'x' }));
  await pull();
  rmSync(cache.blob(weightsBlob));
  mkdirSync(at('blobs'), { recursive: true });
  writeFileSync(cache.partial(weightsBlob), WEIGHTS.subarray(0, 1000));
  writeFileSync(lock, JSON.stringify({ pid: 1, host: 'another-host', token: 'y' }));
  const past = new Date(Date.now() - 3_600_000);
  utimesSync(lock, past, past);
  hub.seen.length = 0;
  await pull();
  assert.equal(hub.downloads.at(-1)?.range, undefined, 'what a silent owner may still write to is not gone on with');
});

const CLI = fileURLToPath(new URL('../../bin/commlm.js', import.meta.url));

function runCli(
  args: string[],
  env: NodeJS.ProcessEnv = {},
): { child: ReturnType<typeof spawn>; ended: Promise<{ code: number | null; stdout: string; stderr: string }> } {
  const clean = { PATH: process.env['PATH'], HOME: cacheDir, HF_HUB_CACHE: cacheDir, HF_ENDPOINT: hub.endpoint };
  const child = spawn(process.execPath, [CLI, ...args], { env: { ...clean, ...env } });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr += text));
  return { child, ended: once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr })) };
}

test('kill -9 in the middle: nothing half under a final name, and the next run goes on', async () => {
  let slow = true;
  hub.fault = (seen, response, file) => {
    if (!slow || seen.host !== 'storage' || file === undefined) return false;
    response.writeHead(200, { 'content-length': file.content.length });
    response.write(file.content.subarray(0, 2_200_000)); // and no more
    return true;
  };
  const cache = new ModelCache(cacheDir, MODEL);
  const first = runCli(['pull', MODEL]);
  for (let i = 0; i < 300 && cache.partialSize(weightsBlob) < 2_000_000; i++) await sleep(30);
  first.child.kill('SIGKILL');
  await first.ended;
  const kept = cache.partialSize(weightsBlob);
  assert.ok(kept >= 1_000_000 && kept < WEIGHTS.length, `${kept} bytes kept`);
  assert.ok(!existsSync(cache.blob(weightsBlob)) && !existsSync(at('snapshots')) && !existsSync(at('refs')));
  slow = false;
  hub.seen.length = 0;
  const { code, stdout, stderr } = await runCli(['pull', MODEL, '--json']).ended;
  assert.equal(code, 0, stderr);
  const report = JSON.parse(stdout) as { folder: string; files: { path: string; status: string }[] };
  assert.equal(report.files.find(({ path }) => path === 'model.safetensors')?.status, 'resumed');
  assert.deepEqual(
    hub.seen.filter(({ host }) => host === 'storage').map(({ range }) => rangeStart(range)),
    [kept],
  );
  assert.deepEqual(readFileSync(join(report.folder, 'model.safetensors')), WEIGHTS);
});

test('two processes share one download; the command line prints the folder and clear errors', async () => {
  hub.fault = (seen, response, file) => {
    if (seen.host !== 'storage' || file === undefined) return false;
    setTimeout(() => sendFile(seen, response, file, weightsBlob), 1500);
    return true;
  };
  const runs = await Promise.all([runCli(['pull', MODEL]).ended, runCli(['pull', MODEL]).ended]);
  for (const { code, stdout, stderr } of runs) {
    assert.equal(code, 0, stderr);
    assert.equal(stdout, `${at('snapshots', COMMIT)}\n`);
  }
  assert.equal(hub.downloads.filter(({ host }) => host === 'storage').length, 1);
  const offline = await runCli(['pull', 'org/other', '--json'], { HF_HUB_OFFLINE: '1' }).ended;
  assert.equal(offline.code, 1);
  assert.equal((JSON.parse(offline.stdout) as { error: { code: string } }).error.code, 'hub/offline');
  assert.equal((await runCli(['pull', 'no-slash']).ended).code, 2);
});

test('settings come from the environment as Python reads them', () => {
  const home = { HOME: '/home/u' };
  const dir = (env: Record<string, string>): string => readHubSettings({ ...home, ...env }).cacheDir;
  assert.equal(dir({}), '/home/u/.cache/huggingface/hub');
  assert.equal(dir({ XDG_CACHE_HOME: '/x' }), '/x/huggingface/hub');
  assert.equal(dir({ XDG_CACHE_HOME: '/x', HF_HOME: '~/hf' }), '/home/u/hf/hub');
  assert.equal(dir({ HF_HOME: '/h', HF_HUB_CACHE: '$HOME/c' }), '/home/u/c');
  const read = (env: Record<string, string>): HubSettings => readHubSettings({ ...home, ...env });
  assert.equal(read({}).endpoint, 'https://huggingface.co');
  assert.equal(read({ HF_ENDPOINT: 'http://mirror/hf/' }).endpoint, 'http://mirror/hf');
  assert.equal(read({ HF_HUB_OFFLINE: 'YES' }).offline, true);
  assert.equal(read({ HF_HUB_OFFLINE: '0' }).offline, false);
  assert.equal(read({ HF_HUB_DOWNLOAD_TIMEOUT: '30' }).downloadTimeoutMs, 30_000);
  assert.deepEqual(read({ HF_TOKEN: ' hf_a\n' }).token, { value: 'hf_a', source: 'HF_TOKEN' });
  writeFileSync(join(cacheDir, 'token'), 'hf_file\n');
  assert.equal(read({ HF_HOME: cacheDir }).token?.value, 'hf_file');
  assert.equal(read({ HF_HOME: cacheDir, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' }).token, undefined);
  for (const env of [
    { HF_ENDPOINT: 'ftp://x' },
    { HF_ENDPOINT: 'https://u:p@x' },
    { HF_HUB_DOWNLOAD_TIMEOUT: '-1' },
    { HF_TOKEN: 'a b' },
  ]) {
    assert.throws(
      () => read(env as Record<string, string>),
      (error) => error instanceof CommError && error.code === 'hub/settings',
    );
  }
});

test('the cache answers without a listing of its own', () => {
  assert.equal(findCachedModel(parseHubId(MODEL), cacheDir), undefined);
});
