/** What is fetched from outside is named by its content: packages, libtorch, workflow actions. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../helpers/cli.js';

const read = (...path: string[]): string => readFileSync(join(ROOT, ...path), 'utf8');

interface LockEntry {
  readonly integrity?: string;
  readonly link?: boolean;
  readonly resolved?: string;
}

test('every package of the lock file has a checksum, and none names a registry', () => {
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, LockEntry> };
  const fetched = Object.entries(packages).filter(([name, { link }]) => name.includes('node_modules/') && !link);
  assert.ok(fetched.length > 100, `${fetched.length}`);
  for (const [name, { integrity, resolved }] of fetched) {
    assert.match(integrity ?? 'none', /^sha512-[A-Za-z0-9+/]{86}==$/, name);
    assert.equal(resolved, undefined, name);
  }
});

test('the wheels of torch are listed with a checksum for each platform and Python that the set-up asks for', () => {
  const source = (name: string): string => read('packages', 'torch', 'src', 'setup', name);
  const version = /const TORCH_VERSION = '([^']+)'/.exec(source('wheels.ts'))?.[1];
  const lines = read('packages', 'torch', 'native', 'libtorch-wheels.txt').trim().split('\n');
  const entries = lines.filter((line) => !line.startsWith('#'));
  const wheels = entries.filter((line) => !line.endsWith('/RECORD'));
  for (const record of entries.filter((line) => line.endsWith('/RECORD'))) {
    assert.match(record, /^[0-9a-f]{64} {2}/);
    const wheel = record.slice(66).replace(/\/RECORD$/, '');
    assert.ok(
      wheels.some((line) => line.endsWith(`  ${wheel}`)),
      record,
    );
  }
  for (const wheel of wheels) assert.match(wheel, /^[0-9a-f]{64} {2}torch-[\w.+-]+\.whl$/);
  const [hashes, names] = [66, 0].map((end) => wheels.map((line) => (end > 0 ? line.slice(0, 64) : line.slice(66))));
  assert.equal(new Set(hashes).size, wheels.length);
  const python = ['311', '312', '313', '314'];
  const wanted = python.flatMap((minor) =>
    [
      ...['+cpu|manylinux_2_28_x86_64', '+cpu|manylinux_2_28_aarch64', '|manylinux_2_28_x86_64'],
      ...['|manylinux_2_28_aarch64', '|macosx_14_0_arm64', '|win_amd64'],
    ]
      .map((each) => each.split('|'))
      .map(([build, platform]) => `torch-${version}${build}-cp${minor}-cp${minor}-${platform}.whl`),
  );
  assert.deepEqual([...(names as string[])].sort(), wanted.sort());
  // Every way to pip goes through the check.
  const pip = source('pip.ts');
  assert.equal(pip.match(/'download', '--dest'/g)?.length, 1);
  assert.equal(pip.match(/\bpip, 'install'/g)?.length, 1);
  assert.match(pip, /'--no-index'/);
});

test('workflow actions are named by their commit, with the version beside it', () => {
  const folder = join(ROOT, '.github', 'workflows');
  for (const file of readdirSync(folder)) {
    const uses = read('.github', 'workflows', file).match(/^.*\buses:.*$/gm) ?? [];
    assert.ok(uses.length > 0, file);
    for (const line of uses) assert.match(line, /uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/, file);
  }
});
