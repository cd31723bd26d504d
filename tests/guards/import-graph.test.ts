/**
 * Guard of the layers: walks every TypeScript import of the repository and fails with the offending line when an arrow
 * points upwards, files or folders import each other in a circle, a command is loaded eagerly, or a package
 * is reached past its public entry. The rules are those of docs/architecture.md.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findCircles, type Import, importsOf, isTest, listSources, readImports } from '../helpers/imports.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** What `data` stands on. */
const BELOW_DATA = ['config', 'files', 'models', 'text', 'images', 'weights'];
/** What training, evaluation and the study stand on. */
const BELOW_TRAINING = [...BELOW_DATA, 'data', 'generate', 'features', 'report', 'hub'];

/** Folders of the product and the folders that each may import besides itself. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  config: [],
  // Reading and writing files safely; everything may use it.
  files: ['config'],
  models: ['config'],
  text: ['config', 'files'],
  images: ['config', 'files'],
  // Files of the hub, by name; knows nothing of what is in them.
  hub: ['config', 'files'],
  weights: ['config', 'files', 'models', 'text', 'images', 'hub'],
  // Pages and charts; knows nothing of what they show.
  report: ['config', 'files'],
  inspect: ['config', 'files', 'models', 'weights', 'hub'],
  features: ['config', 'files', 'models', 'images', 'weights', 'hub'],
  data: BELOW_DATA,
  generate: [...BELOW_DATA, 'data', 'hub'],
  train: [...BELOW_TRAINING, 'recipes'],
  recipes: ['config'],
  eval: BELOW_TRAINING,
  study: [...BELOW_TRAINING, 'train', 'eval'],
  serve: [...BELOW_DATA, 'data', 'generate'],
  bench: [...BELOW_TRAINING, 'train', 'eval'],
  cli: [...BELOW_TRAINING, 'train', 'eval', 'study', 'serve', 'bench', 'recipes', 'inspect'],
};

/** Folders that never touch a tensor. */
const withoutTorch = ['config', 'files', 'text', 'images'];
/** External packages that a model file may import: none. */
const modelPackages = ['@commlm/torch'];

/** Folder of the product that a path lies in, or undefined for its top-level files and everything else. */
function layerOf(path: string): string | undefined {
  return /^packages\/commlm\/src\/([^/]+)\/./.exec(path)?.[1];
}

/** Whether an import can end in a tensor; the package's handling of files never does. */
const isTorch = (target: string): boolean =>
  target === '@commlm/torch' ||
  (target.startsWith('@commlm/torch/') && !['@commlm/torch/files', '@commlm/torch/setup'].includes(target));
/** The core of torch: a tensor has methods that are operators, and an operator gives tensors. */
const TORCH_CORE = ['tensor', 'ops', 'ops.gen', 'random', 'autograd'].map((name) => `packages/torch/src/${name}.ts`);

const where = ({ file, line, target }: Import): string => `  ${file}:${line} imports '${target}'`;

function expectNone(offences: readonly Import[], rule: string): void {
  assert.equal(offences.length, 0, `${rule}\n${offences.map(where).join('\n')}`);
}

const folders = ['packages', 'apps'];
const sources = folders.flatMap((folder) => listSources(root, folder));
const imports = readImports(root, folders);

test('the walk sees the repository', () => {
  assert.ok(sources.length > 20, `only ${sources.length} sources found below ${root}`);
  assert.ok(imports.length > sources.length, `only ${imports.length} imports found in ${sources.length} files`);
});

test('imports are read from code, not from comments or strings', () => {
  const text = [
    "import { a } from './a.js';",
    "// import { b } from './b.js';",
    "/** import { c } from './c.js'; */",
    'import type {\n  D,\n} from "../d.js";',
    "export * from './e.js';",
    "const f = await import('./f.js');",
    "import './g.js';",
  ].join('\n');
  assert.deepEqual(
    importsOf('packages/x/src/y/z.ts', text).map(({ resolved, line, typeOnly, dynamic }) => [
      resolved,
      line,
      typeOnly,
      dynamic,
    ]),
    [
      ['packages/x/src/y/a.ts', 1, false, false],
      ['packages/x/src/d.ts', 4, true, false],
      ['packages/x/src/y/e.ts', 7, false, false],
      ['packages/x/src/y/f.ts', 8, false, true],
      ['packages/x/src/y/g.ts', 9, false, false],
    ],
  );
});

test('relative imports name existing files and stay inside their package', () => {
  const offences = imports.filter(
    ({ resolved, file }) =>
      resolved !== undefined &&
      (!existsSync(join(root, resolved)) || !resolved.startsWith(file.split('/').slice(0, 2).join('/'))),
  );
  expectNone(offences, 'A relative import names an existing source of the same package:');
});

test('@commlm/torch knows nothing of COMM', () => {
  const offences = imports.filter(({ file, target }) => file.startsWith('packages/torch/') && /^commlm\b/.test(target));
  expectNone(offences, 'packages/torch imports nothing of the product:');
});

test('packages are imported by their public entries', () => {
  const offences = imports.filter(
    ({ target }) =>
      /^(@commlm\/torch|commlm)\//.test(target) &&
      !['@commlm/torch/testing', '@commlm/torch/files', '@commlm/torch/setup'].includes(target),
  );
  expectNone(offences, "Import '@commlm/torch' or 'commlm', not a file inside it:");
  const inside = imports.filter(({ target, file }) => file.startsWith('packages/commlm/') && /^commlm\b/.test(target));
  expectNone(inside, 'Inside the product, import relatively:');
  const testing = imports.filter(({ target, file }) => target === '@commlm/torch/testing' && !isTest(file));
  expectNone(testing, "Only tests import '@commlm/torch/testing':");
});

test('arrows between the folders of the product point down only', () => {
  const unknown = [...new Set(sources.map(layerOf))].filter((name) => name !== undefined && !(name in allowed));
  assert.deepEqual(unknown, [], 'Every folder of packages/commlm/src has its place in this test and in the document.');
  const offences = imports.filter(({ file, resolved }) => {
    const from = layerOf(file);
    const to = resolved === undefined ? undefined : layerOf(resolved);
    // A test may be driven from above.
    if (from === undefined || to === undefined || from === to || isTest(file)) return false;
    return !allowed[from]?.includes(to);
  });
  expectNone(offences, 'This arrow points upwards or sideways (see docs/architecture.md):');
});

test('no two folders import each other, directly or in a circle', () => {
  const arrows = new Map<string, Set<string>>();
  for (const { file, resolved, typeOnly } of imports) {
    if (resolved === undefined || typeOnly || isTest(file)) continue;
    const [from, to] = [dirname(file), dirname(resolved)];
    // A folder and the folders inside it are one part.
    if (from === to || from.startsWith(`${to}/`) || to.startsWith(`${from}/`)) continue;
    if (!arrows.has(from)) arrows.set(from, new Set());
    arrows.get(from)?.add(to);
  }
  const done = new Set<string>();
  const findCircle = (folder: string, path: readonly string[]): readonly string[] | undefined => {
    if (path.includes(folder)) return [...path.slice(path.indexOf(folder)), folder];
    if (done.has(folder)) return undefined;
    for (const next of arrows.get(folder) ?? []) {
      const circle = findCircle(next, [...path, folder]);
      if (circle) return circle;
    }
    done.add(folder);
    return undefined;
  };
  for (const folder of arrows.keys()) {
    const circle = findCircle(folder, []);
    assert.equal(circle, undefined, `These folders import each other in a circle: ${circle?.join(' -> ')}`);
  }
});

test('no files import each other in a circle, types and import() included', () => {
  const arrows = imports.flatMap(({ file, resolved }) =>
    resolved === undefined || isTest(file) || [file, resolved].every((name) => TORCH_CORE.includes(name))
      ? []
      : [{ from: file, to: resolved }],
  );
  const circles = findCircles(arrows).map((circle) => {
    const inside = arrows.filter(({ from, to }) => circle.includes(from) && circle.includes(to));
    return inside.map(({ from, to }) => `  ${from} -> ${to}`).join('\n');
  });
  assert.deepEqual(circles, [], `These arrows make a circle:\n${circles.join('\n\n')}`);
});

test('circles are found by what imports what', () => {
  const arrows = ['ab', 'bc', 'ca', 'cd', 'de', 'ed', 'ef', 'gf'].map((pair) => ({ from: pair[0]!, to: pair[1]! }));
  assert.deepEqual(findCircles(arrows), [
    ['a', 'b', 'c'],
    ['d', 'e'],
  ]);
});

test('models see only torch and the configuration', () => {
  const offences = imports.filter(
    ({ file, resolved, target }) =>
      layerOf(file) === 'models' && !isTest(file) && resolved === undefined && !modelPackages.includes(target),
  );
  expectNone(offences, 'A model file does no loading, no parsing and no file access:');
});

test('configuration, files, text and images never load libtorch', () => {
  const offences = imports.filter(({ file, target, typeOnly }) => {
    const layer = layerOf(file) ?? '';
    return withoutTorch.includes(layer) && isTorch(target) && !typeOnly && !isTest(file);
  });
  expectNone(offences, 'This part must work without libtorch:');
});

test('commands are loaded lazily, and their help without libtorch', () => {
  const eager = imports.filter(
    ({ file, resolved, dynamic, typeOnly }) =>
      file === 'packages/commlm/src/cli/commands.ts' &&
      resolved !== undefined &&
      layerOf(resolved) === 'cli' &&
      !dynamic &&
      !typeOnly,
  );
  expectNone(eager, 'The table of commands imports a command only when it runs:');

  // Everything that a command module pulls in before its action runs.
  const graph = new Map<string, Import[]>();
  for (const entry of imports) {
    if (entry.dynamic || entry.typeOnly) continue;
    graph.set(entry.file, [...(graph.get(entry.file) ?? []), entry]);
  }
  const reached = new Map<string, readonly string[]>();
  const walk = (file: string, path: readonly string[]): void => {
    if (reached.has(file)) return;
    reached.set(file, [...path, file]);
    for (const { resolved } of graph.get(file) ?? []) if (resolved !== undefined) walk(resolved, [...path, file]);
  };
  for (const file of sources.filter((name) => layerOf(name) === 'cli' && !isTest(name))) walk(file, []);
  const paths = [...reached.entries()]
    .filter(([file]) => (graph.get(file) ?? []).some(({ target }) => isTorch(target)))
    .map(([, path]) => `  ${path.join('\n    -> ')}\n    -> @commlm/torch`);
  assert.deepEqual(paths, [], `--help would load libtorch; import it dynamically in the action:\n${paths.join('\n')}`);
});

test('fixtures serve tests alone', () => {
  const offences = imports.filter(({ file, target }) => /\.fixture\.js$/.test(target) && !isTest(file));
  expectNone(offences, 'Only tests import a *.fixture.ts:');
});

test('there is no folder of leftovers', () => {
  const offences = sources.filter((file) => /(^|\/)(utils?|helpers?|common|misc)(\/|\.ts$)/.test(file));
  assert.deepEqual(offences, [], 'A helper lives beside its user until two folders need it; then it gets a real name.');
});
