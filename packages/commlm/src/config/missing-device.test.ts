/** The sentences about devices that are not there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missingDevice } from './missing-device.js';

const torchError = (message: string): Error => Object.assign(new Error(message), { name: 'TorchError' });

test("libtorch's words about a device become a sentence, and other errors stay", () => {
  const cases: readonly [said: string, sentence: string][] = [
    ['PyTorch is not linked with support for cuda devices', 'This libtorch was built without CUDA.'],
    ['PyTorch is not linked with support for mps devices', 'This libtorch was built without MPS.'],
    ['Found no NVIDIA driver on your system.', 'There is no CUDA device here.'],
    ['CUDA error: invalid device ordinal', 'There is no CUDA device here.'],
  ];
  for (const [said, sentence] of cases) {
    const cause = torchError(said);
    const error = missingDevice(cause);
    assert.equal(error?.message, sentence);
    assert.match(error?.fix ?? '', /commlm doctor/);
    assert.equal(error?.cause, cause);
  }
  assert.equal(missingDevice(torchError('shapes do not match')), undefined);
  assert.equal(missingDevice(new Error('Found no NVIDIA driver on your system.')), undefined);
});
