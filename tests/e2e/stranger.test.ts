/**
 * The project of somebody who has no clone: the packages as they are published, installed without scripts into an empty
 * strict TypeScript project whose path has a space and an umlaut, then set up and asked. Prints sizes and times.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

let folder = '';
let project = '';
let box: unknown;

/** Runs a program in the project, as a user whose home for libtorch and addon is a folder of the test. */
function run(
  args: readonly string[],
  { cwd = project, env: more = {} }: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
) {
  const { COMMTORCH_ADDON: _, LIBTORCH: __, ...inherited } = process.env;
  const env = { ...inherited, COMMLM_HOME: join(folder, 'home'), ...more };
  return spawnSync(process.execPath, args, { cwd, encoding: 'utf8', env });
}
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
