#!/usr/bin/env node
/**
 * Every command that writes, on a disk that fills up: `sudo node tools/faults/full-disk.mjs [command...]`. Each is run once
 * with all the room it wants, then on a small tmpfs at several sizes below that, then again in the same place with room.
 * A row is right when the command fails with a sentence about the full disk or ends well, when no file under its own name differs
 * from the undisturbed one (a record of lines may be its beginning), when nothing temporary is left, and when the second run
 * ends with the files of an undisturbed one. Prints a table; exit code 1 when a row is wrong.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CLI = join(ROOT, 'packages', 'commlm', 'bin', 'commlm.js');
const PICTURE = join(ROOT, 'examples', 'park.png');
/** Room on the disk, as a share of what the undisturbed run takes at its end; 0 is one page. */
const SHARES = [0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99];

const work = mkdtempSync(join(tmpdir(), 'commlm-full-'));
const disk = join(work, 'disk');
mkdirSync(disk);

/** Mounts an empty disk of so many bytes, or changes the size of the one that is there. */
function mount(bytes, again = false) {
  const size = `size=${Math.max(4096, Math.ceil(bytes / 4096) * 4096)}`;
  const how = again ? [`remount,${size}`, disk] : [size, 'commlm-full', disk];
  const run = again ? ['-o', ...how] : ['-t', 'tmpfs', '-o', ...how];
  const { status, stderr } = spawnSync('mount', run, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`a small disk cannot be mounted here: ${stderr.trim()}`);
}

const unmount = () => spawnSync('umount', [disk]);

function commlm(args, env = {}) {
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd: ROOT,
    env: { ...process.env, OMP_NUM_THREADS: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })));
}

const filesBelow = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();

const bytesBelow = (folder) =>
  filesBelow(folder).reduce((sum, name) => sum + Math.ceil(statSync(join(folder, name)).size / 4096) * 4096, 0);

const SMALL_TRAINING = [
  ...['loop.steps=12', 'loop.batchSize=2', 'loop.logEvery=1', 'loop.saveEvery=4', 'loop.keepLast=1'],
  ...['clip.encoder.vit.numLayers=1', 'clip.encoder.levels={"from":1,"to":1}', 'clip.encoder.vit.hiddenSize=32'],
  ...['clip.encoder.vit.numHeads=2', 'clip.encoder.vit.intermediateSize=64', 'clip.text.numLayers=1'],
].flatMap((setting) => ['--set', setting]);

const isGoingOn = (run) => existsSync(run) && readdirSync(run).some((name) => /^checkpoint-\d+$/.test(name));

const OWN = [
  `stage.data.stores={"images":{"kind":"folder","folder":${JSON.stringify(join(ROOT, 'examples'))}}}`,
  `stage.data.sets={"own":{"kind":"llava","file":${JSON.stringify(join(work, 'own.json'))},"store":"images"}}`,
].flatMap((setting) => ['--set', setting]);

/** Conversations about a picture, as LLaVA writes them down. */
function writeOwn() {
  const conversations = [
    { from: 'human', value: '<image>\nWhat is it?' },
    { from: 'gpt', value: 'A park.' },
  ];
  writeFileSync(
    join(work, 'own.json'),
    JSON.stringify([1, 2, 3, 4].map((id) => ({ id, image: 'park.png', conversations }))),
  );
}

/** Commands by name: what they write into `out`, and which files are compared with those of an undisturbed run. */
const COMMANDS = {
  train: {
    run: (out) =>
      commlm(['train', 'tiny-clip', ...SMALL_TRAINING, '--out', out, ...(isGoingOn(out) ? ['--resume'] : [])]),
    compared: /^result\//,
  },
  export: {
    prepare: () => commlm(['train', 'tiny-clip', ...SMALL_TRAINING, '--out', join(work, 'trained')]),
    run: (out) =>
      commlm([
        'train',
        'tiny-clip',
        ...SMALL_TRAINING,
        '--out',
        join(work, 'trained'),
        '--export',
        join(out, 'so-far'),
      ]),
  },
  tokenizer: { run: (out) => commlm(['train', 'tiny-tokenizer', '--set', 'tokenizer.scenes=50', '--out', out]) },
  convert: { run: (out) => commlm(['convert', join(ROOT, 'models', 'comm-tiny'), join(out, 'model')]) },
  features: {
    run: (out) =>
      commlm([
        ...['features', PICTURE, '--encoder', join(ROOT, 'models', 'comm-tiny'), '--branch', '0'],
        ...['--out', join(out, 'f.safetensors'), '--draw', join(out, 'f.png')],
      ]),
  },
  'ask --draw': { run: (out) => commlm(['ask', PICTURE, 'Where is the tree?', '--draw', join(out, 'boxes.png')]) },
  world: { run: (out) => commlm(['world', join(out, 'world'), '--count', '4', '--seed', '3']) },
  batch: {
    prepare: () => {
      const lines = Array.from({ length: 40 }, (_, id) =>
        JSON.stringify({ id, image: PICTURE, question: 'What is it?' }),
      );
      writeFileSync(join(work, 'questions.jsonl'), `${lines.join('\n')}\n`);
    },
    run: (out) =>
      commlm([
        'batch',
        join(work, 'questions.jsonl'),
        join(out, 'answers.jsonl'),
        '--max-new-tokens',
        '8',
        '--batch-size',
        '4',
      ]),
    // Times differ; the answers do not.
    read: (path) => readFileSync(path, 'utf8').replace(/"timings":\{[^}]*\}/g, ''),
    grows: /answers\.jsonl(\.run\.jsonl)?$/,
  },
  eval: {
    prepare: () => commlm(['world', join(work, 'data'), '--split', 'test', '--count', '3']),
    run: (out) => commlm(['eval', 'pope', 'vqav2', '--data', join(work, 'data'), '--out', join(out, 'eval')]),
    grows: /answers_\w+\.jsonl$/,
    compared: /(samples|results|report)/,
  },
  'data preview': {
    prepare: writeOwn,
    run: (out) => commlm(['data', 'preview', 'tiny-own-data', ...OWN, '--count', '2', '--out', join(out, 'preview')]),
  },
  'train with features': {
    prepare: writeOwn,
    run: (out) =>
      commlm([
        ...[
          'train',
          'tiny-own-data',
          ...OWN,
          '--set',
          'loop.steps=4',
          '--set',
          'loop.batchSize=2',
          '--set',
          'loop.saveEvery=2',
        ],
        ...['--set', `stage.features={"folder":${JSON.stringify(join(out, 'features'))},"maxGB":1}`],
        ...['--out', join(out, 'run'), ...(isGoingOn(join(out, 'run')) ? ['--resume'] : [])],
      ]),
    compared: /result\//,
  },
  pull: {
    prepare: async () => {
      const { LocalHub } = await import(
        new URL('../../packages/commlm/dist/hub/local-hub.fixture.js', import.meta.url).href
      );
      const hub = await LocalHub.start();
      const text = (size) => ({ content: Buffer.alloc(size, 'x'), lfs: size > 1000 });
      const files = new Map([
        ['config.json', { content: Buffer.from('{}'), lfs: false }],
        ['model.safetensors', text(300_000)],
        ['tokenizer.json', text(500)],
      ]);
      hub.models.set('org/name', { commit: 'c'.repeat(40), refs: ['main'], files });
      COMMANDS.pull.hub = hub;
    },
    run: (out) => commlm(['pull', 'org/name'], { HF_HOME: join(out, 'hf'), HF_ENDPOINT: COMMANDS.pull.hub.endpoint }),
    compared: /blobs|refs/,
    partial: /\.incomplete$/,
    end: () => COMMANDS.pull.hub.stop(),
  },
};

/** What is wrong with the files that a failed run left, in words. */
function faultsOf(out, reference, { compared = /./, grows, partial, read = (path) => readFileSync(path, 'latin1') }) {
  const faults = [];
  for (const name of filesBelow(out)) {
    if (/\.(part|tmp|partial|lock|before)$|\.part\//.test(name)) faults.push(`left ${name}`);
    if (partial?.test(name)) continue;
    const path = join(reference, name);
    if (!compared.test(name) || !existsSync(path)) continue;
    const [found, whole] = [read(join(out, name)), read(path)];
    const isFine = grows?.test(name) ? whole.startsWith(found.slice(0, found.lastIndexOf('\n') + 1)) : found === whole;
    if (!isFine) faults.push(`${name} is not whole`);
  }
  return faults;
}

const rows = [];
const wanted = process.argv.slice(2);
try {
  for (const [name, command] of Object.entries(COMMANDS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    await command.prepare?.();
    // As deep as the place on the disk: some results hold relative paths.
    const reference = join(work, `reference-${name.replace(/\W/g, '')}`, 'out');
    mkdirSync(reference, { recursive: true });
    const undisturbed = await command.run(reference);
    if (undisturbed.code !== 0) throw new Error(`${name} fails with all the room it wants:\n${undisturbed.output}`);
    const need = bytesBelow(reference);
    for (const share of SHARES) {
      mount(share * need);
      try {
        const out = join(disk, 'out');
        const folderMade = (() => {
          try {
            mkdirSync(out);
            return true;
          } catch {
            return false;
          }
        })();
        if (!folderMade) continue;
        const first = await command.run(out);
        const said = /disk (of \S+ )?is full|but the disk of \S+ has .* free/.test(first.output);
        const faults = faultsOf(out, reference, command);
        if (first.code !== 0 && !said) faults.push(`said: ${first.output.trim().split('\n').at(-1)}`);
        if (/\n\s+at |internal\//.test(first.output)) faults.push('a raw error');
        mount(20 * need + 2 ** 24, true);
        const second = await command.run(out);
        const rest = faultsOf(out, reference, command).filter((fault) => !fault.startsWith('left'));
        const missing = filesBelow(reference).filter(
          (file) => (command.compared ?? /./).test(file) && !existsSync(join(out, file)),
        );
        if (second.code !== 0) faults.push(`then: ${second.output.trim().split('\n').slice(-2).join(' ')}`);
        for (const file of missing) faults.push(`then: ${file} is missing`);
        faults.push(...rest.map((fault) => `then: ${fault}`));
        const row = [
          name,
          `${Math.round(share * 100)} %`,
          first.code,
          said ? 'the disk is full' : '',
          second.code,
          faults.join('; '),
        ];
        rows.push(row);
        console.log(`| ${row.join(' | ')} |`);
      } finally {
        unmount();
      }
    }
    await command.end?.();
  }
} finally {
  unmount();
  rmSync(work, { recursive: true, force: true });
}
const wrong = rows.filter((row) => row.at(-1) !== '');
console.log(`${rows.length} rows, ${wrong.length} wrong`);
process.exitCode = wrong.length > 0 || rows.length === 0 ? 1 : 0;
