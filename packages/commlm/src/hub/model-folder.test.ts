/** What a model is called. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { embeddedModelFolder, modelName } from './model-folder.js';

test('the embedded model has one name, in the clone and installed', () => {
  assert.equal(modelName(embeddedModelFolder()), 'comm-tiny');
  assert.equal(modelName(join('project', 'node_modules', '@commlm', 'tiny')), 'comm-tiny');
  assert.equal(modelName(join('models', 'tiny')), 'tiny');
});
