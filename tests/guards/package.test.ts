/** What is published: only what a public entry reaches, no tests, no fixtures, with README and licence, one version. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../helpers/cli.js';

const FOLDERS = ['packages/torch', 'packages/commlm', 'packages/icons', 'models/comm-tiny'] as const;

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Record<string, string>>;
}

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const manifestOf = (folder: string): Manifest => JSON.parse(read(`${folder}/package.json`)) as Manifest;

/** Paths of the tarball that npm would make; the model is left out, as packing it takes seconds. */
function packedFiles(folder: string): string[] {
  const npm = process.env['npm_execpath'];
  const args = ['pack', '--dry-run', '--json'];
  const [program, all] = npm === undefined ? ['npm', args] : [process.execPath, [npm, ...args]];
  const output = execFileSync(program, all, { cwd: join(ROOT, folder), encoding: 'utf8', stdio: 'pipe' });
  // What a script of the package prints may stand before the document.
  const packed = JSON.parse(output.slice(output.search(/^[[{]/m))) as Record<string, { files: { path: string }[] }>;
  return Object.values(packed).flatMap(({ files }) => files.map(({ path }) => path));
}

/** Sources of a package that are no tests and no fixtures of tests. */
function productSources(folder: string): string[] {
  const names = readdirSync(join(ROOT, folder, 'src'), { recursive: true }) as string[];
  return names.map((name) => name.replaceAll('\\', '/')).filter((name) => /(?<!\.test|\.fixture)\.ts$/.test(name));
}

const sourceOf = (compiled: string): string => compiled.replace(/^(\.\/)?dist\//, '').replace(/\.(d\.ts|js)$/, '.ts');

for (const folder of ['packages/torch', 'packages/commlm']) {
  const packed = packedFiles(folder);
  const sources = productSources(folder);

  test(`the tarball of ${folder} holds the compiled sources, README and licence, and nothing besides`, () => {
    const compiled = sources.flatMap((name) => ['.js', '.d.ts'].map((end) => `dist/${name.replace(/\.ts$/, end)}`));
    const others = packed.filter((name) => !name.startsWith('dist/'));
    assert.deepEqual(
      packed.filter((name) => name.startsWith('dist/')).sort(),
      compiled.sort(),
      'Name a fixture of tests *.fixture.ts; run `npm run build` where a file is missing.',
    );
    for (const name of ['LICENSE', 'README.md', 'package.json']) assert.ok(others.includes(name), name);
    const known =
      /^(LICENSE|README\.md|package\.json|(bin|native|native\/addon|examples|schemas)\/[^/]+|src\/bench\/peer\.py)$/;
    assert.deepEqual(
      others.filter((name) => !known.test(name)),
      [],
    );
  });

  test(`every source of ${folder} is reached from an entry of the package`, () => {
    const { exports = {}, bin = {} } = manifestOf(folder);
    const entries = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [] : [entry]));
    const open = entries.flatMap((entry) => [sourceOf(entry.default), sourceOf(entry.types)]);
    for (const script of Object.values(bin)) {
      open.push(
        ...[...read(`${folder}/${script}`).matchAll(/'\.\.\/dist\/([^']+)'/g)].map((match) => sourceOf(match[1]!)),
      );
    }
    const reached = new Set(open);
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      const text = read(`${folder}/src/${name}`);
      // Imports, and the files of workers and child processes (`new URL('./batch-worker.js', import.meta.url)`).
      const relative = /(?:from|import|import\(|new URL\()\s*(['"])(\.{0,2}\/?[\w./-]+\.js)\1/g;
      for (const [, , target] of text.matchAll(relative)) {
        const next = join(dirname(name), target!).replaceAll('\\', '/').replace(/\.js$/, '.ts');
        if (reached.has(next) || !existsSync(join(ROOT, folder, 'src', next))) continue;
        reached.add(next);
        open.push(next);
      }
    }
    assert.deepEqual(
      sources.filter((name) => !reached.has(name)),
      [],
      'Used by tests alone: name it *.fixture.ts. Used by nobody: delete it.',
    );
  });
}

test('every entry of a package is a file, and has its page in the reference', () => {
  for (const folder of ['packages/torch', 'packages/commlm']) {
    const entries = Object.entries(manifestOf(folder).exports ?? {}).filter(([name]) => name !== './package.json');
    const documented = (JSON.parse(read(`${folder}/typedoc.json`)) as { entryPoints: string[] }).entryPoints;
    const sources = entries.map(([, entry]) => {
      assert.ok(typeof entry !== 'string');
      assert.equal(sourceOf(entry.types), sourceOf(entry.default));
      return `src/${sourceOf(entry.default)}`;
    });
    for (const source of sources) assert.ok(existsSync(join(ROOT, folder, source)), source);
    assert.deepEqual([...documented].sort(), sources.sort(), folder);
  }
});

test('all packages have one version, and no script that runs at an installation', () => {
  const manifests = FOLDERS.map(manifestOf);
  const [version] = new Set(manifests.map((each) => each.version));
  for (const { name, version: own, dependencies = {}, scripts = {} } of manifests) {
    assert.equal(own, version, name);
    for (const other of manifests) {
      if (other.name in dependencies) assert.equal(dependencies[other.name], version, `${name} -> ${other.name}`);
    }
    assert.deepEqual(
      Object.keys(scripts).filter((script) => script !== 'prepack'),
      [],
      name,
    );
  }
});

test('each package carries its licence', () => {
  for (const folder of FOLDERS) {
    const { name, license } = manifestOf(folder);
    const text = read(`${folder}/LICENSE`);
    if (license === 'MIT') assert.equal(text, read('LICENSE'), name);
    else for (const each of license.split(' AND ')) assert.ok(license.includes(each), each);
    assert.match(read(`${folder}/README.md`), /\S/);
  }
});
