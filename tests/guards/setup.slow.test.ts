/**
 * The set-up and the addon's build, tried in a small copy of the tree with a pretended compiler: faults name their remedy,
 * nothing is built twice, and nothing is left half-done.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { devNull, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** Answers `--version`, notes each call, and "compiles" by copying its flags; fails on a source that says BROKEN. */
const COMPILER = `#!/bin/sh
if [ "$1" = --version ]; then echo 'pretended compiler 1'; exit 0; fi
echo "$@" >> "$(dirname "$0")/calls"
out=
for word in "$@"; do
  [ "$last" = -o ] && out=$word
  case $word in *.cpp) if grep -q BROKEN "$word"; then echo 'error: it is broken' >&2; exit 1; fi;; esac
  last=$word
done
echo "$@" > "$out"
`;

/** Answers as Python with pip: "downloads" the wheel of the folder `index`, and "installs" by unpacking nothing. */
const PYTHON = `#!/bin/sh
here=$(dirname "$0")
case "$1" in
  --version) echo 'Python 3.11.0'; exit 0;;
  -c) exit 0;;
esac
[ "$3" = --version ] && { echo pip 1; exit 0; }
echo "$@" >> "$here/pip-calls"
case "$3" in
  download)
    [ -d "$here/index" ] || { echo 'no such wheel' >&2; exit 1; }
    cp "$here"/index/* "$5";;
  install)
    mkdir -p "$5" && cp -r "$here/libtorch" "$5/torch";;
esac
`;

const posix = process.platform !== 'win32';

describe('set-up', { skip: posix ? false : 'the pretended compiler is a shell script' }, () => {
  let dir = '';
  let libtorch = '';
  let compiler = '';
  const native = (): string => join(dir, 'packages', 'torch', 'native');
  const build = (): string => join(dir, 'packages', 'torch', 'build');

  const makeLibtorch = (minor: number): string => {
    const path = join(dir, `libtorch-2.${minor}`);
    mkdirSync(join(path, 'include', 'torch', 'headeronly'), { recursive: true });
    mkdirSync(join(path, 'include', 'ATen'));
    mkdirSync(join(path, 'lib'));
    const version = `#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR ${minor}\n#define TORCH_VERSION_PATCH 0\n`;
    writeFileSync(join(path, 'include', 'torch', 'headeronly', 'version.h'), version);
    writeFileSync(join(path, 'lib', process.platform === 'darwin' ? 'libtorch_cpu.dylib' : 'libtorch_cpu.so'), '');
    return path;
  };

  const run = (script: string, env: NodeJS.ProcessEnv = {}, args: readonly string[] = []) => {
    // The caller's own libtorch must not answer for the pretended ones.
    const { npm_execpath: _, LIBTORCH: __, ...inherited } = process.env;
    const result = spawnSync(process.execPath, [join(dir, script), ...args], {
      cwd: dir,
      encoding: 'utf8',
      // Nor may a package index that this machine is set up for.
      env: { ...inherited, CXX: compiler, PIP_CONFIG_FILE: devNull, PIP_NO_INDEX: '1', PIP_FIND_LINKS: '', ...env },
    });
    return { status: result.status, text: result.stdout + result.stderr };
  };
  const compile = (path = libtorch) => run('packages/torch/native/build.mjs', { LIBTORCH: path });
  const calls = (): number => {
    const file = join(dir, 'bin', 'calls');
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').length : 0;
  };

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'commlm-setup-'));
    mkdirSync(join(dir, 'tools'));
    mkdirSync(native(), { recursive: true });
    mkdirSync(join(dir, 'bin'));
    cpSync(join(root, 'tools', 'setup.mjs'), join(dir, 'tools', 'setup.mjs'));
    for (const name of ['build.mjs', 'programs.mjs', 'steps.mjs', 'libtorch-wheels.txt']) {
      cpSync(join(root, 'packages', 'torch', 'native', name), join(native(), name));
    }
    for (const name of ['package.json', 'dist']) {
      cpSync(join(root, 'packages', 'torch', name), join(dir, 'packages', 'torch', name), { recursive: true });
    }
    // The copy has no sources, so there is about nothing to compile.
    writeFileSync(join(dir, 'tsconfig.json'), '{"files": ["nothing.ts"], "compilerOptions": {"noEmit": true}}');
    writeFileSync(join(dir, 'nothing.ts'), 'export {};');
    symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
    writeFileSync(join(dir, 'package-lock.json'), '{"packages": {}}');
    writeFileSync(join(native(), 'one.cpp'), 'int one;');
    writeFileSync(join(native(), 'two.cpp'), 'int two;');
    writeFileSync(join(native(), 'both.h'), 'int both;');
    compiler = join(dir, 'bin', 'c++');
    writeFileSync(compiler, COMPILER);
    chmodSync(compiler, 0o755);
    libtorch = makeLibtorch(13);
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  test('a folder that is no libtorch is refused with what to do', () => {
    const { status, text } = run('tools/setup.mjs', { LIBTORCH: join(dir, 'bin') });
    assert.equal(status, 1, text);
    assert.match(text, /the step "libtorch" failed/);
    assert.match(text, /is not a libtorch folder/);
    assert.match(text, /What to do: Point LIBTORCH/);
    assert.ok(!existsSync(join(dir, '.cache', 'libtorch.json')), 'a refused folder was recorded');
  });

  test('a libtorch outside the supported versions is refused', () => {
    for (const minor of [10, 14]) {
      const { status, text } = run('tools/setup.mjs', { LIBTORCH: makeLibtorch(minor) });
      assert.equal(status, 1, text);
      assert.match(text, new RegExp(`is libtorch 2\\.${minor}\\.0; 2\\.11 to 2\\.13 are supported`));
    }
  });

  test('a missing compiler is named before anything is done', () => {
    const { status, text } = run('tools/setup.mjs', { CXX: join(dir, 'absent'), LIBTORCH: libtorch });
    assert.equal(status, 1);
    assert.match(text, /the step "versions" failed\nNo C\+\+ compiler was found/);
    assert.match(text, /What to do: /);
  });

  test('the choice of libtorch is recorded and used again without the variable', () => {
    // The self-test fails, as the pretended compiler made no addon; what comes before it is done and stays.
    const first = run('tools/setup.mjs', { LIBTORCH: libtorch });
    assert.match(first.text, /named by LIBTORCH/);
    assert.match(first.text, /compiled for libtorch 2\.13\.0/);
    const second = run('tools/setup.mjs');
    assert.match(second.text, /libtorch {3,}up to date/);
    assert.match(second.text, /addon {3,}up to date/);
    assert.equal(calls(), 3);
    assert.ok(!existsSync(join(dir, '.cache', 'setup.lock')), 'the lock was left behind');
  });

  test('each source is compiled once, and again only when something that it depends on changes', () => {
    assert.match(compile().text, /built commtorch\.node against libtorch 2\.13\.0/);
    assert.equal(calls(), 3, 'two sources and one link');
    assert.match(compile().text, /is up to date/);
    assert.equal(calls(), 3);
    writeFileSync(join(native(), 'two.cpp'), 'int other;');
    compile();
    assert.equal(calls(), 5, 'one source and one link');
    writeFileSync(join(native(), 'both.h'), 'int changed;');
    compile();
    assert.equal(calls(), 8, 'a header concerns every source');
    assert.match(compile(makeLibtorch(11)).text, /against libtorch 2\.11\.0/);
    assert.equal(calls(), 11, 'so does another libtorch');
  });

  test('a failed compilation shows its cause and leaves the last good addon in place', () => {
    compile();
    const good = readFileSync(join(build(), 'commtorch.node'), 'utf8');
    writeFileSync(join(native(), 'one.cpp'), 'BROKEN');
    const { status, text } = compile();
    assert.equal(status, 1);
    assert.match(text, /error: it is broken/);
    assert.equal(readFileSync(join(build(), 'commtorch.node'), 'utf8'), good);
    const leftovers = readdirSync(build(), { recursive: true }).filter((name) => String(name).includes('partial'));
    assert.deepEqual(leftovers, []);
  });

  /** Lets pip find a wheel with that content, and runs the set-up without a libtorch. */
  const fetching = (name: string, content: string, env: NodeJS.ProcessEnv = {}) => {
    const bin = join(dir, 'bin');
    writeFileSync(join(bin, 'python'), PYTHON);
    chmodSync(join(bin, 'python'), 0o755);
    cpSync(libtorch, join(bin, 'libtorch'), { recursive: true });
    mkdirSync(join(bin, 'index'), { recursive: true });
    writeFileSync(join(bin, 'index', name), content);
    const result = run('tools/setup.mjs', { PYTHON: join(bin, 'python'), ...env });
    const calls = readFileSync(join(bin, 'pip-calls'), 'utf8');
    rmSync(join(bin, 'pip-calls'));
    return { ...result, downloads: calls.split(' download ').length - 1, installed: calls.includes(' install ') };
  };
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

  test('a wheel of torch is unpacked only when its checksum is the one that is listed', () => {
    const name = 'torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl';
    const refused = fetching(name, 'another file');
    assert.equal(refused.status, 1);
    assert.match(refused.text, new RegExp(`is not the file that it was: its SHA-256 is ${sha256('another file')}`));
    assert.ok(!refused.installed && refused.downloads === 1, 'it was unpacked, or looked for elsewhere');
    assert.deepEqual(
      readdirSync(join(dir, '.cache')).filter((file) => /libtorch|tmp|lock/.test(file)),
      [],
    );
    const table = join(native(), 'libtorch-wheels.txt');
    writeFileSync(table, `# a comment\n${sha256('this file')}  ${name}\n`);
    const taken = fetching(name, 'this file');
    assert.ok(taken.installed);
    assert.match(taken.text, /libtorch 2\.13\.0 for the CPU, fetched into .*\.cache /);
  });

  test('a wheel that is not listed is refused unless its checksum is given', () => {
    const name = 'torch-2.13.0-cp311-cp311-linux_riscv64.whl';
    const refused = fetching(name, 'a wheel');
    assert.equal(refused.status, 1);
    assert.match(refused.text, /is not in the table of known wheels \(libtorch-wheels\.txt\); its SHA-256 is/);
    assert.ok(!refused.installed);
    // The command that the message names.
    const given = /LIBTORCH_SHA256=([0-9a-f]{64}) npm run setup/.exec(refused.text)?.[1] ?? '';
    assert.ok(fetching(name, 'a wheel', { LIBTORCH_SHA256: given }).installed);
  });

  test('what torch brings along without a checksum is said', () => {
    const bin = join(dir, 'bin');
    mkdirSync(join(bin, 'index'), { recursive: true });
    writeFileSync(join(bin, 'index', 'companion-1.0-py3-none-any.whl'), '');
    const given = fetching('torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl', 'a wheel', {
      LIBTORCH_SHA256: sha256('a wheel'),
    });
    assert.match(given.text, /the 1 packages that it names are taken without a checksum/);
  });

  test('the lock of a set-up that crashed does not hold the next one up', () => {
    mkdirSync(join(dir, '.cache'));
    for (const content of ['', 'half', String(2 ** 22 + 12345)]) {
      writeFileSync(join(dir, '.cache', 'setup.lock'), content);
      const { text } = run('tools/setup.mjs', { LIBTORCH: libtorch });
      assert.match(text, /compiled for libtorch|up to date/);
      assert.ok(!existsSync(join(dir, '.cache', 'setup.lock')));
    }
  });
});
