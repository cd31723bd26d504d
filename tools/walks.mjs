#!/usr/bin/env node
/**
 * What a reader meets who follows one thing through the code: the files of four walks (picture to boxes; recipe to step;
 * benchmark to figure; folder to module). Measured, not told: while the command runs, the call stack is taken at every
 * operator that the tensor library computes and at every file that is written; what lies on those stacks is on the way.
 *
 *   node tools/walks.mjs [--files] [TREE...]   trees: built clones (this one by default); --files prints the lists
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = resolve(fileURLToPath(import.meta.url), '..', '..');
const RECORDER = pathToFileURL(join(ROOT, 'tools', 'walks-recorder.mjs')).href;

/** Rooms of the product from the ground up (docs/architecture.md); a call from a lower floor to a higher one is a climb. */
const FLOORS = [
  ['config'],
  ['files', 'recipes'],
  ['models', 'text', 'images', 'hub', 'report'],
  ['weights'],
  ['inspect', 'features', 'data'],
  ['generate'],
  ['train', 'eval'],
  ['study', 'serve', 'bench'],
  ['cli'],
];
const roomOf = (file) => file.split('/')[0];
const floorOf = (file) => FLOORS.findIndex((rooms) => rooms.includes(roomOf(file)));

const command = (...args) => ['packages/commlm/bin/commlm.js', ...args];
const loadOnly = "const { loadModel } = await import('commlm'); await loadModel();";
/** Arguments of node for each walk; `out` is a scratch folder that holds a small test split of the world. */
const WALKS = {
  'picture to boxes': () => command('ask', 'examples/pets.png', 'Where is the dog?'),
  'recipe to step': (out) => command('train', 'tiny-clip', '--out', join(out, 'run'), '--set', 'loop.steps=1'),
  'benchmark to figure': (out) =>
    command('eval', 'pope', '--data', join(out, 'world'), '--out', join(out, 'figures'), '--limit', '2'),
  'folder to module': () => ['--input-type=module', '-e', loadOnly],
};

/** Runs one walk in `tree`; files and calls between files (`from>to`), as paths below packages/commlm/src. */
function record(tree, args, out) {
  const record = join(out, 'calls.json');
  rmSync(record, { force: true });
  execFileSync(process.execPath, ['--import', RECORDER, ...args], {
    cwd: tree,
    env: { ...process.env, WALKS_RECORD: record, OMP_NUM_THREADS: '1' },
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  const { files, calls } = JSON.parse(readFileSync(record, 'utf8'));
  const isSource = (file) => existsSync(join(tree, 'packages/commlm/src', file));
  return {
    files: files.filter(isSource),
    calls: calls.map((call) => call.split('>')).filter((call) => call.every(isSource)),
  };
}

function measure(tree, { files, calls }) {
  const between = calls.filter(([from, to]) => floorOf(from) >= 0 && floorOf(to) >= 0 && roomOf(from) !== roomOf(to));
  const lineCount = (file) => readFileSync(join(tree, 'packages/commlm/src', file), 'utf8').split('\n').length - 1;
  return {
    files: files.length,
    lines: files.reduce((sum, file) => sum + lineCount(file), 0),
    rooms: new Set(files.map(roomOf)).size,
    'between rooms': between.length,
    up: between.filter(([from, to]) => floorOf(to) > floorOf(from)).length,
  };
}

function walksOf(tree, showFiles) {
  const out = mkdtempSync(join(tmpdir(), 'walks-'));
  try {
    const world = command('world', join(out, 'world'), '--split', 'test', '--count', '4');
    execFileSync(process.execPath, world, { cwd: tree, stdio: 'ignore' });
    return Object.entries(WALKS).map(([walk, args]) => {
      const met = record(tree, args(out), out);
      if (showFiles) {
        const sorted = met.files.sort((a, b) => floorOf(b) - floorOf(a) || (a < b ? -1 : 1));
        console.log(`\n${walk} (${tree})\n  ${sorted.join('\n  ')}`);
      }
      return { walk, tree, ...measure(tree, met) };
    });
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

const trees = process.argv.slice(2).filter((argument) => argument !== '--files');
const rows = (trees.length === 0 ? [ROOT] : trees).flatMap((tree) =>
  walksOf(resolve(tree), process.argv.includes('--files')),
);
const order = Object.keys(WALKS);
console.table(rows.sort((a, b) => order.indexOf(a.walk) - order.indexOf(b.walk)));
