/** Pip's settings, read as pip reads them. */
import assert from 'node:assert/strict';
import { devNull } from 'node:os';
import { test } from 'node:test';
import { DEFAULT_INDEX, readPipSettings } from './pip-settings.js';

const read = (env: NodeJS.ProcessEnv) => readPipSettings({ PIP_CONFIG_FILE: devNull, ...env });

test('without a named index the default one is asked, before the extra ones', () => {
  assert.deepEqual(read({}).indexes, [DEFAULT_INDEX]);
  assert.deepEqual(read({ PIP_EXTRA_INDEX_URL: 'https://a.invalid https://b.invalid' }).indexes, [
    DEFAULT_INDEX,
    'https://a.invalid',
    'https://b.invalid',
  ]);
  assert.deepEqual(read({ PIP_INDEX_URL: 'https://mirror.invalid/simple' }).indexes, ['https://mirror.invalid/simple']);
  assert.deepEqual(read({ PIP_NO_INDEX: '1' }).indexes, []);
});
