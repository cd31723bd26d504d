/** Parts by name: which ones a list means, and what they are called. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partName, TrainedPart, trainsEncoders, trainsPart } from './parts.js';

test('a part without an index means that of every encoder, with one that of one', () => {
  assert.ok(trainsPart(['merge'], 'merge', 1) && trainsPart(['merge.1'], 'merge', 1));
  assert.ok(!trainsPart(['merge.1'], 'merge', 0) && !trainsPart(['merge.1'], 'align', 1));
  assert.ok(trainsEncoders(['encoder.1']) && trainsEncoders(['encoder']) && !trainsEncoders(['merge', 'projector']));
  for (const name of ['projector', 'encoder', 'encoder.0', 'align.12']) assert.ok(TrainedPart.safeParse(name).success);
  for (const name of ['fusion', 'encoder.', 'encoder.-1', 'encoder.0.5', 'projector.0', 'vit']) {
    assert.ok(!TrainedPart.safeParse(name).success, name);
  }
});

test('paths of the model have the names of the parts, and others stay', () => {
  const paths = ['vision.encoders.0.vit', 'vision.encoders.1.align', 'projector', 'language_model', 'text_model'];
  assert.deepEqual(paths.map(partName), ['encoder.0', 'align.1', 'projector', 'languageModel', 'text_model']);
});
