/** `inspect` says what every golden folder is, whatever library wrote it. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspectModel, loadHfEncoder } from 'commlm';

const folder = fileURLToPath(new URL('../../golden/encoders', import.meta.url));
const encoders = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());

for (const { name } of encoders) {
  test(`${name} is described`, () => {
    const path = join(folder, name);
    const report = inspectModel(path);
    const { vit } = loadHfEncoder(path);
    assert.match(report.summary, new RegExp(`picture encoder .*levels 0 to ${vit.config.numLayers}`));
    const blocks = report.parts.find((part) => part.name === 'blocks');
    assert.match(blocks?.description ?? '', new RegExp(`${vit.config.numLayers} blocks of ${vit.config.hiddenSize}`));
    const inTower = report.parts.reduce((sum, part) => sum + part.numParameters, 0);
    // DINOv3 stores no biases of keys; loading fills them with zeros.
    const unstored = vit.config.numLayers * vit.config.hiddenSize;
    assert.ok(inTower >= vit.numParameters({ trainableOnly: false }) - unstored, 'the whole tower is counted');
    vit.dispose();
  });
}
