/**
 * The project of somebody who has no clone: the packages as they are published, installed without scripts into an empty
 * strict TypeScript project whose path has a space and an umlaut, then set up and asked: from commands, from CommonJS, in
 * workers, with @commlm/torch alone. Prints sizes and times. COMMLM_TEST_NODES names further Node binaries to walk with,
 * separated as in PATH; of the supported versions, those that are not among them are shown as skipped.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, test } from 'node:test';
import { clonesLibtorch, commlm, ROOT } from '../helpers/cli.js';
import { DOG, FIND_DOG } from '../helpers/pictures.js';

const skip = process.platform === 'win32' ? 'walked on Linux and macOS' : false;
const PACKAGES = ['packages/torch', 'packages/icons', 'models/comm-tiny', 'packages/commlm'];
const PROGRAM = `import { loadModel } from 'commlm';

using model = await loadModel();
const { boxes } = await model.ask('dog.png', '${FIND_DOG}');
console.log(JSON.stringify(boxes.map(({ box }) => box)));
`;

/** Two models at once, by require. */
const COMMONJS = `const { loadModel } = require('commlm');

(async () => {
  const models = [await loadModel(), await loadModel()];
  const answers = await Promise.all(models.map((model) => model.ask('dog.png', '${FIND_DOG}')));
  console.log(JSON.stringify(answers.map(({ boxes }) => boxes.map(({ box }) => box))));
  for (const model of models) model.dispose();
})();
`;
const MAJORS = [20, 22, 24];

/** The Node binaries to walk with: this one and those of COMMLM_TEST_NODES. */
const nodes = [process.execPath, ...(process.env.COMMLM_TEST_NODES?.split(delimiter) ?? [])].map((path) => ({
  path,
  version: execFileSync(path, ['--version'], { encoding: 'utf8' }).trim().slice(1),
}));

let folder = '';
let project = '';
let box: unknown;

/** Runs a program in the project, as a user whose home for libtorch and addon is a folder of the test. */
function run(
  args: readonly string[],
  {
    cwd = project,
    env: more = {},
    node = process.execPath,
  }: { cwd?: string; env?: NodeJS.ProcessEnv; node?: string } = {},
) {
  const { COMMTORCH_ADDON: _, LIBTORCH: __, ...inherited } = process.env;
  const env = { ...inherited, COMMLM_HOME: join(folder, 'home'), ...more };
  return spawnSync(node, args, { cwd, encoding: 'utf8', env });
}
/** Every file below a folder with its size and time: equal lists say that nothing was written. */
const filesIn = (path: string): string[] =>
  readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => ({ name, stats: statSync(join(path, name)) }))
    .map(({ name, stats }) => `${name} ${stats.size} ${stats.mtimeMs}`)
    .sort();

const bin = (): string => join(project, 'node_modules', 'commlm', 'bin', 'commlm.js');

before(async () => {
  if (skip !== false) return;
  folder = mkdtempSync(join(tmpdir(), 'commlm stränger-'));
  project = join(folder, 'my project');
  const tarballs = join(folder, 'tarballs');
  mkdirSync(project);
  mkdirSync(tarballs);
  for (const path of PACKAGES) {
    const args = ['pack', '--silent', '--pack-destination', tarballs];
    execFileSync('npm', args, { cwd: join(ROOT, path), stdio: ['ignore', 'ignore', 'inherit'] });
  }
  const names = readdirSync(tarballs);
  for (const name of names) console.log(`${name}: ${(statSync(join(tarballs, name)).size / 1e6).toFixed(2)} MB`);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'stranger', private: true, type: 'module' }));
  const started = performance.now();
  const options = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  const files = names.map((name) => join(tarballs, name));
  execFileSync('npm', ['install', ...options, ...files], { cwd: project, stdio: ['ignore', 'ignore', 'inherit'] });
  console.log(`npm install: ${((performance.now() - started) / 1e3).toFixed(1)} s`);
  copyFileSync(DOG, join(project, 'dog.png'));
  const inClone = await commlm(['ask', DOG, FIND_DOG, '--json']);
  box = (JSON.parse(inClone.stdout) as { boxes: { box: number[] }[] }).boxes.map((each) => each.box);
});

after(() => {
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
});

test('the types compile in a strict project of the stranger', { skip }, () => {
  writeFileSync(join(project, 'main.ts'), PROGRAM);
  const compilerOptions = {
    ...{ strict: true, module: 'nodenext', target: 'es2022', types: ['node'], outDir: 'out' },
    typeRoots: [join(ROOT, 'node_modules', '@types')],
  };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['main.ts'] }));
  const compiled = run([join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')]);
  assert.equal(compiled.status, 0, compiled.stdout);
});

test('before the set-up one sentence names it', { skip }, () => {
  const { status, stderr } = run([bin(), 'ask', 'dog.png', FIND_DOG]);
  assert.equal(status, 1);
  assert.match(stderr, /error: libtorch is not set up here yet.*; run `npx commlm setup`\./);
  assert.doesNotMatch(stderr, /^\s+at /m);
});

test('after the set-up command and library answer as in the clone', { skip }, () => {
  const started = performance.now();
  const setup = run([bin(), 'setup'], { env: { LIBTORCH: clonesLibtorch().path } });
  assert.equal(setup.status, 0, setup.stderr);
  console.log(`commlm setup: ${((performance.now() - started) / 1e3).toFixed(1)} s, libtorch given`);

  const asked = run([bin(), 'ask', join(project, 'dog.png'), FIND_DOG, '--json'], { cwd: folder });
  assert.equal(asked.status, 0, asked.stderr);
  const { boxes } = JSON.parse(asked.stdout) as { boxes: { box: number[] }[] };
  assert.deepEqual(
    boxes.map((each) => each.box),
    box,
  );
  const program = run([join('out', 'main.js')]);
  assert.equal(program.status, 0, program.stderr);
  assert.deepEqual(JSON.parse(program.stdout), box);
});

for (const { path: node, version } of nodes) {
  test(`Node ${version} answers from CommonJS with two models, in workers, and writes nothing into the installation`, {
    skip,
  }, () => {
    console.log(`walked with Node ${version}`);
    const installation = join(project, 'node_modules');
    const before = filesIn(installation);
    writeFileSync(join(project, 'main.cjs'), COMMONJS);
    const required = run(['main.cjs'], { node });
    assert.equal(required.status, 0, required.stderr);
    assert.deepEqual(JSON.parse(required.stdout), [box, box]);

    const page = readFileSync(join(ROOT, 'docs', 'deployment.md'), 'utf8');
    const pool = /```js\n(\/\/ pool\.mjs\n[\s\S]*?)```/.exec(page)?.[1];
    assert.ok(pool !== undefined, 'docs/deployment.md has the example of a pool');
    writeFileSync(join(project, 'pool.mjs'), pool);
    writeFileSync(
      join(project, 'use-pool.mjs'),
      `import { ask, close } from './pool.mjs';
const answers = await Promise.all(Array.from({ length: 4 }, () => ask('dog.png', '${FIND_DOG}')));
const failed = await ask('nowhere.png', 'What?').catch((error) => error.message);
console.log(JSON.stringify({ boxes: answers.map(({ boxes }) => boxes.map(({ box }) => box)), failed }));
await close();`,
    );
    const pooled = run(['use-pool.mjs'], { node });
    assert.equal(pooled.status, 0, pooled.stderr);
    const { boxes, failed } = JSON.parse(pooled.stdout) as { boxes: unknown; failed: string };
    assert.deepEqual(boxes, [box, box, box, box]);
    assert.match(failed, /nowhere\.png/);
    assert.deepEqual(filesIn(installation), before);
  });

  test(`@commlm/torch alone runs its example on Node ${version}`, { skip }, () => {
    const alone = join(folder, `alone ${version}`);
    mkdirSync(alone);
    writeFileSync(join(alone, 'package.json'), JSON.stringify({ name: 'alone', private: true, type: 'module' }));
    const tarball = readdirSync(join(folder, 'tarballs')).find((name) => name.startsWith('commlm-torch-'))!;
    const options = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
    execFileSync('npm', ['install', ...options, join(folder, 'tarballs', tarball)], {
      cwd: alone,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    copyFileSync(join(alone, 'node_modules', '@commlm', 'torch', 'examples', 'train.mjs'), join(alone, 'train.mjs'));
    const trained = run(['train.mjs'], { cwd: alone, node });
    assert.equal(trained.status, 0, trained.stderr);
    assert.match(trained.stdout, /step 299 {2}loss 0\.0[0-9]{3}$/m);
  });
}

for (const major of MAJORS.filter((each) => !nodes.some(({ version }) => version.startsWith(`${each}.`)))) {
  test(`Node ${major} walks the same`, { skip: `not tried: COMMLM_TEST_NODES names no Node ${major}` }, () => {});
}
