/** Folders of transformers, timm and open_clip: what is refused, what may lie beside the encoder, and the way back. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { io, noGrad, randn, scope, type Tensor, zeros } from '@commlm/torch';
import { expectNoLeak, maxRelDiff, withStrictScopes } from '@commlm/torch/testing';
import { CommError } from '../config/errors.js';
import { EncoderConfig } from '../config/model.js';
import { VisualBranch } from '../models/fusion.js';
import { loadHfEncoder } from './encoder-reader.js';
import { encoderToHf } from './layouts/hf-encoder.js';
import { timmFacts } from './layouts/timm-names.js';

const golden = fileURLToPath(new URL('../../../../tests/golden/encoders', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'encoders-'));
after(() => rmSync(root, { recursive: true, force: true }));

type Json = Record<string, unknown>;

/** A copy of a golden folder. */
function copyOf(name: string): string {
  const folder = mkdtempSync(join(root, `${name}-`));
  cpSync(join(golden, name), folder, { recursive: true });
  return folder;
}

/** A copy of a golden folder with one JSON file changed. */
function withJson(name: string, file: string, change: (json: Json) => void): string {
  const folder = copyOf(name);
  const json = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Json;
  change(json);
  writeFileSync(join(folder, file), JSON.stringify(json));
  return folder;
}

/** A copy of a golden folder with other weights. */
function withWeights(name: string, change: (weights: Map<string, Tensor>) => void, file = 'model.safetensors'): string {
  const folder = copyOf(name);
  scope(() => {
    const weights = new Map(io.readSafetensors(join(golden, name, file)));
    change(weights);
    io.writeSafetensors(join(folder, file), weights);
  });
  return folder;
}

const refuses = (folder: string, pattern: RegExp): void =>
  assert.throws(
    () => loadHfEncoder(folder).vit.dispose(),
    (error) => error instanceof CommError && pattern.test(error.message) && error.fix !== undefined,
  );

for (const name of ['siglip', 'vit', 'mae', 'deit', 'dinov3', 'dinov3-gated', 'timm-eva02-clip']) {
  test(`${name} goes back to the layout it came from, bit for bit`, () => {
    withStrictScopes(() =>
      scope(() => {
        const { type, vit } = loadHfEncoder(join(golden, name));
        const back = encoderToHf(type, vit.config, vit.stateDict());
        const stored = io.readSafetensors(join(golden, name, 'model.safetensors'));
        const prefix = name === 'mae' ? 'vit.' : '';
        for (const [key, tensor] of back) assert.equal(maxRelDiff(tensor, stored.get(prefix + key)!), 0, key);
        const beside = [...stored.keys()].filter((key) => !back.has(key.slice(prefix.length)));
        assert.ok(
          beside.every((key) => /^(head|pooler|decoder|fc_norm)\./.test(key)),
          beside.join(', '),
        );
        vit.dispose();
      }),
    );
  });
}

test('each type is what its folder says, with the preparation of its library', () => {
  const types = {
    'siglip-whole': ['siglip', 'stretch', 'bicubic'],
    'vit-classifier': ['vit', 'stretch', 'bicubic'],
    vit: ['vit', 'stretch', 'bilinear'],
    mae: ['mae', 'stretch', 'bilinear'],
    deit: ['deit', 'stretch-crop', 'bicubic'],
    dinov3: ['dinov3', 'stretch', 'bilinear'],
    'timm-mae': ['mae', 'crop', 'bicubic'],
    'timm-deit-distilled': ['deit', 'stretch-crop', 'bicubic'],
    'timm-dinov2-registers': ['dinov2', 'crop', 'bicubic'],
    'timm-siglip': ['siglip', 'crop', 'bicubic'],
    'timm-eva02': ['eva', 'crop', 'bicubic'],
    'open-clip-bin': ['clip', 'crop', 'bilinear'],
    'open-clip-siglip': ['siglip', 'stretch', 'bicubic'],
  };
  for (const [name, expected] of Object.entries(types)) {
    const { type, image, vit } = loadHfEncoder(join(golden, name));
    vit.dispose();
    assert.deepEqual([type, image.fit, image.resample], expected, name);
  }
});

test('every encoder is a branch of COMM', () => {
  for (const name of ['siglip', 'mae', 'vit', 'deit', 'timm-eva02-clip', 'dinov3', 'open-clip', 'timm-deit3']) {
    const { type, image, vit } = loadHfEncoder(join(golden, name));
    const config = EncoderConfig.parse({
      type,
      vit: vit.config,
      image,
      levels: { from: 1, to: vit.config.numLayers },
      applyFinalNorm: false,
      merge: { kind: 'lln-layerscale', weights: { kind: 'softmax' }, shared: false, order: 'norm-linear', width: 16 },
      align: { kind: 'linear' },
    });
    scope(() =>
      noGrad(() => {
        using branch = new VisualBranch(config);
        branch.vit.loadStateDict(vit.stateDict());
        assert.deepEqual(branch.forward(randn([2, 3, 32, 32])).shape, [2, 16, 16], name);
      }),
    );
    vit.dispose();
  }
});

test('weights that do not fit are refused by name, in each layout', () => {
  refuses(
    withWeights('siglip', (weights) => weights.delete('post_layernorm.bias')),
    /lacks post_layernorm\.bias/,
  );
  refuses(
    withWeights('vit', (weights) => weights.set('extra.weight', zeros([2]))),
    /unexpected extra\.weight/,
  );
  refuses(
    withWeights('dinov3', (weights) => weights.set('layer.0.attention.k_proj.bias', zeros([24]))),
    /unexpected layer\.0\.attention\.k_proj\.bias/,
  );
  refuses(
    withWeights('deit', (weights) => weights.set('embeddings.position_embeddings', zeros([1, 17, 24]))),
    /position_embeddings is \[1, 17, 24\], not \[1, 18, 24\]/,
  );
  refuses(
    withWeights('timm-vit', (weights) => weights.delete('patch_embed.proj.weight')),
    /lacks patch_embed\.proj\.weight/,
  );
  refuses(
    withWeights('timm-deit3', (weights) => weights.delete('blocks.1.ls2.gamma')),
    /lacks blocks\.1\.ls2\.gamma/,
  );
  refuses(
    withWeights('timm-vit', (weights) => weights.set('blocks.0.attn.q_norm.weight', zeros([8]))),
    /unexpected blocks\.0\.attn\.q_norm\.weight/,
  );
  refuses(
    withWeights('timm-vit', (weights) => weights.delete('cls_token')),
    /17 rows, which is no square/,
  );
  refuses(
    withWeights('open-clip', (weights) => weights.delete('visual.ln_pre.bias'), 'open_clip_model.safetensors'),
    /lacks visual\.ln_pre\.bias/,
  );
  refuses(
    withWeights('open-clip', (weights) => weights.set('visual.other', zeros([1])), 'open_clip_model.safetensors'),
    /unexpected visual\.other/,
  );
});

test('arithmetic that is not implemented and absurd sizes are refused, never guessed', () => {
  const timm = (change: (args: Json) => void): string =>
    withJson('timm-vit', 'config.json', (json) => change(json['model_args'] as Json));
  refuses(
    timm((args) => Object.assign(args, { qk_norm: true })),
    /model_args.*qk_norm/,
  );
  refuses(
    timm((args) => Object.assign(args, { act_layer: 'snake' })),
    /act_layer/,
  );
  refuses(
    timm((args) => Object.assign(args, { num_heads: 5 })),
    /24 is not a multiple of num_heads 5/,
  );
  refuses(
    withJson('timm-vit', 'config.json', (json) => Object.assign(json, { architecture: 'resnet50' })),
    /'resnet50'/,
  );
  refuses(
    withJson('dinov3', 'config.json', (json) => Object.assign(json, { key_bias: true })),
    /key_bias/,
  );
  refuses(
    withJson('siglip', 'config.json', (json) => Object.assign(json, { num_hidden_layers: 1e9 })),
    /num_layers/,
  );
  refuses(
    withJson('siglip', 'config.json', (json) => Object.assign(json, { image_size: [32, 40] })),
    /image_size/,
  );
  refuses(
    withJson('open-clip', 'open_clip_config.json', (json) => {
      Object.assign((json['model_cfg'] as Json)['vision_cfg'] as Json, { qk_norm: true });
    }),
    /qk_norm/,
  );
  refuses(
    withJson('siglip', 'config.json', (json) => Object.assign(json, { model_type: 'siglip2_vision_model' })),
    /siglip2_vision_model/,
  );
  assert.throws(
    () =>
      loadHfEncoder(
        withJson('siglip', 'preprocessor_config.json', (json) => Object.assign(json, { do_resize: false })),
      ),
    { code: 'image/preprocessor-config', message: /do_resize is false/ },
  );
});

test("a bare number in `size` means what the type's processor means by it", () => {
  const image = (name: string, json: Json): string => {
    const folder = copyOf(name);
    writeFileSync(join(folder, 'preprocessor_config.json'), JSON.stringify(json));
    const { vit, image: config } = loadHfEncoder(folder);
    vit.dispose();
    return [config.fit, config.shortSide, config.size].join();
  };
  assert.equal(image('vit', { size: 32 }), 'stretch,,32');
  assert.equal(image('deit', { size: 40, crop_size: 32, do_center_crop: true }), 'stretch-crop,40,32');
  assert.equal(image('siglip', { size: { height: 32, width: 32 } }), 'stretch,,32');
});

test('a checkpoint of a training script is found below its wrapper', () => {
  const folder = withWeights('timm-vit', (weights) => {
    for (const [key, value] of [...weights]) {
      weights.delete(key);
      weights.set(`state_dict.module.${key}`, value);
    }
  });
  renameSync(join(folder, 'model.safetensors'), join(folder, 'open_clip_model.safetensors'));
  loadHfEncoder(folder).vit.dispose();
});

test('names of timm are understood whole or refused', () => {
  assert.equal(timmFacts('vit_giant_patch14_reg4_dinov2.lvd142m').numHeads, 24);
  assert.equal(timmFacts('vit_base_patch16_gap_224').numHeads, 16);
  assert.equal(timmFacts('vit_base_patch16_siglip_gap_224').numHeads, 12);
  assert.equal(timmFacts('vit_base_patch16_plus_clip_240').numHeads, 14);
  assert.equal(timmFacts('vit_huge_plus_patch16_dinov3').numHeads, 20);
  assert.equal(timmFacts('vit_so400m_patch14_siglip_384').act, 'gelu');
  assert.equal(timmFacts('vit_so400m_patch16_siglip_384').act, 'gelu_tanh');
  assert.equal(timmFacts('vit_base_patch32_clip_quickgelu_224').act, 'quick_gelu');
  assert.equal(timmFacts('eva02_enormous_patch14_clip_224').blockNorm, 'post');
  for (const name of [
    'vit_small_patch16_18x2_224',
    'vit_base_patch16_rpn_224',
    'vit_pwee_patch16_reg1_gap_256',
    'vit',
  ]) {
    assert.throws(() => timmFacts(name), CommError, name);
  }
});

test('loading leaks nothing', () => {
  const names = ['timm-eva02-clip', 'open-clip-bin', 'dinov3-gated'];
  expectNoLeak(() => names.forEach((name) => void loadHfEncoder(join(golden, name)).vit.dispose()), { steps: 3 });
});
