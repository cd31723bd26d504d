/** Pictures as transformers' processors prepare them, whatever their files leave out (tools/golden/processors.py). */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CommError } from '../../config/errors.js';
import { digest, goldenPath, noisePicture } from '../../images/golden.fixture.js';
import { preprocess } from '../../images/preprocess.js';
import { processorConfig } from './processors.js';

interface Case {
  readonly modelType: string;
  readonly fields: Record<string, unknown>;
  readonly from: [number, number];
  readonly seed: number;
  readonly shape?: [number, number];
  readonly sha256?: string;
}

const cases = JSON.parse(readFileSync(goldenPath('processors.json'), 'utf8')) as readonly Case[];

/** Digest of the pixels, or the error. */
function prepared({ modelType, fields, from, seed }: Case): string | CommError {
  try {
    const config = processorConfig(fields, 'preprocessor_config.json', modelType);
    return digest(new Uint8Array(preprocess(noisePicture(...from, seed), config).pixels.buffer));
  } catch (error) {
    assert.ok(error instanceof CommError, String(error));
    return error;
  }
}

test('every square picture is the reference, bit for bit, or its field is refused by name', () => {
  let [numEqual, numRefused] = [0, 0];
  for (const one of cases) {
    const ours = prepared(one);
    const label = JSON.stringify([one.modelType, one.fields]);
    if (typeof ours === 'string') {
      // Where the reference knows no class for a type, that of its family is taken here.
      if (one.sha256 === undefined) continue;
      assert.equal(ours, one.sha256, label);
      numEqual++;
      continue;
    }
    assert.equal(ours.code, 'image/preprocessor-config', label);
    assert.match(ours.message, /: (size|crop_size|do_center_crop|image_processor_type|resample) /, label);
    numRefused++;
    const { image_processor_type: type } = one.fields;
    // Refused are pictures that are no squares, a padded one that is cut, and classes that are not known.
    const [height, width] = one.shape ?? [0, 0];
    const isCutPad = one.fields['do_pad'] === true || type === 'ConvNextImageProcessor';
    assert.ok(one.sha256 === undefined || height !== width || isCutPad, `${label}: ${ours.message}`);
  }
  assert.ok(numEqual > 120, `${numEqual} equal, ${numRefused} refused`);
});

test('what makes other pixels is refused by its field', () => {
  const clip = { image_processor_type: 'CLIPImageProcessor' };
  const changes: [Record<string, unknown>, RegExp][] = [
    [{ ...clip, do_resize: false }, /do_resize is false/],
    [{ ...clip, do_rescale: false }, /do_rescale is false/],
    [{ ...clip, rescale_factor: 1 / 127.5 }, /rescale_factor is 0\.0078/],
    [{ ...clip, resample: 0 }, /resample is 0/],
    [{ ...clip, resample: null }, /resample is null/],
    [{ ...clip, size: null }, /size is null/],
    [{ ...clip, image_mean: null }, /image_mean is null/],
    [{ ...clip, do_rescale: null }, /do_rescale is false/],
    [{ ...clip, crop_size: null }, /crop_size is missing/],
    [{ ...clip, image_mean: [0.5] }, /image_mean is \[0\.5\]/],
    [{ ...clip, image_std: 'half' }, /image_std is "half"/],
    [{ ...clip, size: {} }, /size is \{\}/],
    [{ ...clip, size: { longest_edge: 224 } }, /size is/],
    [{ ...clip, size: { shortest_edge: 224, longest_edge: 448 } }, /size is/],
    [{ ...clip, size: { max_height: 224, max_width: 224 } }, /size is/],
    [{ ...clip, size: { height: 224, width: 336 } }, /size is 224 x 336/],
    [{ ...clip, size: 22.5 }, /size is 22\.5/],
    [{ ...clip, crop_size: { height: 224, width: 336 } }, /crop_size is 224 x 336/],
    [{ ...clip, crop_size: { shortest_edge: 224 } }, /crop_size has a shortest_edge/],
    [{ ...clip, do_center_crop: false }, /do_center_crop is false/],
    [{ ...clip, do_center_crop: 'yes' }, /do_center_crop is "yes"/],
    [{ ...clip, do_pad: true, pad_size: { height: 300, width: 300 } }, /pad_size/],
    [{ image_processor_type: 'ViTImageProcessor', do_center_crop: true }, /crop_size is missing/],
    [{ image_processor_type: 'SiglipImageProcessor', size: 384 }, /do_center_crop is false/],
    [{ image_processor_type: 'DINOv3ViTImageProcessor', do_center_crop: true, crop_size: 112 }, /do_center_crop/],
    [{ image_processor_type: 'Siglip2ImageProcessor' }, /image_processor_type is "Siglip2ImageProcessor"/],
    [{ image_processor_type: '__proto__' }, /image_processor_type/],
    [{ feature_extractor_type: 'BeitFeatureExtractor' }, /feature_extractor_type is "BeitFeatureExtractor"/],
    [{ auto_map: { AutoImageProcessor: 'own.Processor' } }, /auto_map/],
  ];
  for (const [fields, message] of changes) {
    assert.throws(
      () => processorConfig(fields, 'preprocessor_config.json', 'clip'),
      (error) =>
        error instanceof CommError && error.code === 'image/preprocessor-config' && message.test(error.message),
      JSON.stringify(fields),
    );
  }
  assert.throws(() => processorConfig({}, 'p.json', 'other'), /image_processor_type is missing/);
});

test('DINOv3 resizes in floating point', () => {
  const { fit, size, rounding } = processorConfig({ size: { height: 112, width: 112 } }, 'p.json', 'dinov3_vit');
  assert.deepEqual([fit, size, rounding], ['stretch', 112, 'none']);
});
