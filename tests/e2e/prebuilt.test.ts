/**
 * The package with a prebuilt addon: built, laid beside an installed copy of @commlm/torch, set up without a compiler on the
 * path, and used from another folder and in a worker thread. And what an installed copy says before its set-up.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { clonesLibtorch, ROOT } from '../helpers/cli.js';

const libtorch = clonesLibtorch();
const skip =
  process.platform === 'win32' ? 'no prebuilt addon for Windows' : libtorch.cuda ? 'this libtorch has CUDA' : false;

describe('a prebuilt addon', { skip }, () => {
  let dir = '';
  let project = '';
  const home = (): string => join(dir, 'home ü');

  /** Runs Node in the project, with a path that holds no compiler and no Python. */
  const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
    const { COMMTORCH_ADDON: _, CXX: __, PYTHON: ___, ...inherited } = process.env;
    const bare = { PATH: join(dir, 'bin'), COMMLM_HOME: home(), LIBTORCH: libtorch.path };
    const result = spawnSync(process.execPath, args, {
      cwd: project,
      encoding: 'utf8',
      env: { ...inherited, ...bare, ...env },
    });
    return { status: result.status, text: result.stdout + result.stderr };
  };
  const setUp = (...options: string[]) =>
    run([join(project, 'node_modules', '@commlm', 'torch', 'bin', 'commlm-torch.js'), 'setup', ...options]);
  const prebuilt = (): string => join(project, 'node_modules', '@commlm', `torch-${process.platform}-${process.arch}`);
  const ADD = `import { tensor } from '@commlm/torch'; console.log(tensor([1, 2]).add(tensor([3, 4])).tolist().join());`;

  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'commlm prebuilt ä-'));
    project = join(dir, 'project');
    mkdirSync(join(dir, 'bin'), { recursive: true });
    symlinkSync(process.execPath, join(dir, 'bin', 'node'));
    const installed = join(project, 'node_modules', '@commlm', 'torch');
    for (const name of ['dist', 'bin', 'native', 'package.json']) {
      cpSync(join(ROOT, 'packages', 'torch', name), join(installed, name), { recursive: true });
    }
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  test('without set-up the first tensor says which command to run, in one sentence', () => {
    const { status, text } = run(['--input-type=module', '--eval', ADD]);
    assert.equal(status, 1);
    assert.match(text, /TorchError: libtorch is not set up here yet.*; run `npx commlm-torch setup`\.\n/);
  });

  test('without compiler and prebuilt addon the set-up names what is missing, and makes nothing', () => {
    const { status, text } = setUp();
    assert.equal(status, 1);
    assert.match(text, /^error: No C\+\+ compiler was found/m);
    assert.match(text, /^fix: {3}Install/m);
    assert.doesNotMatch(text, /npm run setup|git checkout/);
  });

  test('it is built as a package of its platform', () => {
    const built = spawnSync(process.execPath, [join(ROOT, 'tools', 'prebuilt.mjs'), '--out', prebuilt()], {
      encoding: 'utf8',
    });
    assert.equal(built.status, 0, built.stderr);
    const manifest = JSON.parse(readFileSync(join(prebuilt(), 'package.json'), 'utf8')) as Record<string, unknown>;
    assert.deepEqual(manifest.os, [process.platform]);
    assert.deepEqual(manifest.cpu, [process.arch]);
    assert.equal(manifest.scripts, undefined);
    assert.deepEqual(readdirSync(prebuilt()).sort(), ['LICENSE', 'README.md', 'commtorch.node', 'package.json']);
  });

  test('with it the set-up needs no compiler, and has nothing to do the second time', () => {
    assert.match(setUp('--dry-run').text, /addon {5}would be copied from the prebuilt package/);
    const first = setUp();
    assert.equal(first.status, 0, first.text);
    assert.match(first.text, /addon {6}@commlm\/torch-\S+ \S+, prebuilt/);
    assert.match(first.text, /two tensors added/);
    const second = JSON.parse(setUp('--json').text) as { steps: { done: boolean }[]; addon: string };
    assert.ok(second.steps.every(({ done }) => !done));
    assert.ok(second.addon.startsWith(home()) && existsSync(second.addon));
  });

  test('tensors are made without LIBTORCH, from another folder and in a worker thread', () => {
    assert.deepEqual(run(['--input-type=module', '--eval', ADD], { LIBTORCH: '' }), { status: 0, text: '4,6\n' });
    const index = join(project, 'node_modules', '@commlm', 'torch', 'dist', 'index.js');
    const body = `import(${JSON.stringify(index)}).then(({ ones }) => console.log(ones([3]).sum().item()))`;
    const worker = `
      process.chdir('/');
      new (require('node:worker_threads').Worker)(${JSON.stringify(body)}, { eval: true });`;
    const { status, text } = run(['--eval', worker], { LIBTORCH: '' });
    assert.equal(status, 0, text);
    assert.match(text, /^3$/m);
  });
});
