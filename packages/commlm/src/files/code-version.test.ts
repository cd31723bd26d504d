/** The version that runs, with its commit: these tests run from a clone. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cloneRoot } from '@commlm/torch/setup';
import { codeVersion } from './code-version.js';

const root = cloneRoot()!;

test('version and commit, marked where tracked files differ', { skip: !existsSync(join(root, '.git')) }, () => {
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  const { commlm, commit } = codeVersion();
  assert.match(commlm, /^\d+\.\d+\.\d+/);
  const isChanged = git('diff', 'HEAD', '--name-only') !== '';
  assert.equal(commit, git('rev-parse', 'HEAD') + (isChanged ? '+' : ''));
});
