import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Comm } from '../models/comm.js';
import { smallComm } from '../models/sample-configs.js';
import { readCommConfig, saveCommFolder } from '../weights/comm-folder.js';
import { CommTask } from './comm-task.js';
import { loadRecipe } from './recipe.js';

test('a stage takes the model of its folder and clears the mark of what it trains, and of nothing else', async () => {
  const root = mkdtempSync(join(tmpdir(), 'comm-task-'));
  try {
    const config = smallComm({ untrained: ['projector', 'vision.encoders.0.merge', 'vision.encoders.1.vit'] });
    const model = new Comm(config);
    saveCommFolder(join(root, 'from'), model);
    model.dispose();
    const stage = await loadRecipe('tiny-stage1');
    assert.ok(stage.kind === 'comm');
    const task = CommTask.open({ ...stage.comm, from: join(root, 'from'), tokenizer: root });
    task.export(join(root, 'to'));
    const trained = readCommConfig(join(root, 'to'));
    assert.deepEqual(trained.untrained, ['vision.encoders.1.vit']);
    assert.deepEqual({ ...trained, untrained: config.untrained }, config);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
