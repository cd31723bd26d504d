/** Models put together from encoders and a language model. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { io, liveTensors, scope } from '@commlm/torch';
import { expectRounded, maxRelDiff } from '@commlm/torch/testing';
import type { AssemblyRecipe } from '../config/assembly.js';
import { CommError } from '../config/errors.js';
import { comm7b } from '../config/presets.js';
import { recipe as paper } from '../recipes/comm-7b.js';
import { Tokenizer } from '../text/tokenizer.js';
import { assembleComm } from './assemble.js';
import { loadCommFolder } from './comm-folder.js';
import { encoderToHf } from './hf-folder.js';
import { languageModel } from './language-model.fixture.js';

const golden = fileURLToPath(new URL('../../../../tests/golden', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'assemble-'));
after(() => rmSync(root, { recursive: true, force: true }));

const folders = { clip: join(golden, 'models/clip'), dinov2: join(golden, 'models/dinov2') };

/** The paper's recipe for encoders of 2 blocks on pictures of 32 px. */
const recipe: AssemblyRecipe = {
  ...paper,
  dtype: 'f32',
  encoders: paper.encoders.map((encoder, i) => ({
    ...encoder,
    imageSize: 32,
    levels: i === 0 ? { from: 1, to: 2 } : { from: -1, to: -1 },
  })),
};

/** Gives a language model the golden tokenizer.json without its picture tokens. */
function withTokenizerJson(folder: string): string {
  rmSync(join(folder, 'tokenizer.model'));
  const all = JSON.parse(readFileSync(join(golden, 'text/tokenizers.json'), 'utf8')) as {
    name: string;
    tokenizerJson: { added_tokens: { id: number; content: string }[]; model: { vocab: Record<string, number> } };
    tokenizerConfig: object;
  }[];
  const { tokenizerJson: json, tokenizerConfig } = all.find(({ name }) => name === 'byte-level')!;
  json.added_tokens = json.added_tokens.filter(({ content }) => !content.startsWith('<im'));
  for (const name of Object.keys(json.model.vocab)) if (name.startsWith('<im')) delete json.model.vocab[name];
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(json));
  const config = { ...tokenizerConfig, added_tokens_decoder: {} };
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  return folder;
}

const outFolder = (): string => join(mkdtempSync(join(root, 'out-')), 'comm');

test('parts keep their weights, the fusion is fresh and marked', async () => {
  const before = liveTensors().length;
  const llm = languageModel(root);
  const out = outFolder();
  const notes: string[] = [];
  const result = await assembleComm(recipe, { encoders: [folders.clip, folders.dinov2], languageModel: llm }, out, {
    onNote: (line) => notes.push(line),
  });
  assert.deepEqual(result.untrained, [
    'vision.encoders.0.merge',
    'vision.encoders.1.merge',
    'vision.encoders.1.align',
    'projector',
  ]);
  assert.deepEqual(result.newRows, [420, 421, 422]);
  assert.match(notes.join('\n'), /420, 421, 422 .*mean/);
  const { model, config } = loadCommFolder(out);
  assert.deepEqual(config.untrained, result.untrained);
  assert.deepEqual(config.imageTokens, { kind: 'wrapped', patchId: 420, startId: 421, endId: 422 });
  scope(() => {
    for (const [i, name] of (['clip', 'dinov2'] as const).entries()) {
      const vit = model.vision.encoders[i]!.vit;
      for (const [key, tensor] of encoderToHf(name, vit.config, vit.stateDict())) {
        const stored = io.readSafetensors(join(folders[name], 'model.safetensors'));
        assert.equal(maxRelDiff(tensor, stored.get(key) ?? stored.get(`vision_model.${key}`)!), 0, key);
      }
    }
    const stored = io.readSafetensors(join(llm, 'model.safetensors'));
    const own = model.languageModel.stateDict();
    for (const [key, tensor] of stored) {
      const grown = key === 'model.embed_tokens.weight' || key === 'lm_head.weight';
      const kept = grown ? own.get(key)!.narrow(0, 0, 420) : own.get(key)!;
      assert.equal(maxRelDiff(kept, tensor), 0, key);
      if (!grown) continue;
      for (let row = 420; row < 423; row++) {
        // A mean of 420 rows, whose values are larger than what is left.
        const scale = tensor.abs().max().item();
        expectRounded(own.get(key)!.select(0, row), tensor.mean(0), { terms: 420, scale }, key);
      }
    }
  });
  model.dispose();
  const tokenizer = await Tokenizer.load(out);
  assert.equal(tokenizer.addedTokens.get('<im_patch>'), 420);
  assert.ok(!tokenizer.encode('<im_patch>').includes(420), 'a user cannot spell it');
  assert.match(readFileSync(join(out, 'README.md'), 'utf8'), /not trained/);
  assert.equal(liveTensors().length, before);
});

test('picture tokens take spare rows of a larger embedding first', async () => {
  const llm = withTokenizerJson(languageModel(root, { vocabSize: 500 }));
  const out = outFolder();
  const { newRows, config } = await assembleComm(
    recipe,
    { encoders: [folders.clip, folders.dinov2], languageModel: llm },
    out,
  );
  assert.equal(config.textConfig.vocabSize, 500);
  const tokenizer = await Tokenizer.load(out);
  assert.deepEqual(
    newRows,
    ['<im_patch>', '<im_start>', '<im_end>'].map((name) => tokenizer.addedTokens.get(name)),
  );
  assert.ok(newRows.every((id) => id < 500));
  const json = JSON.parse(readFileSync(join(out, 'tokenizer_config.json'), 'utf8')) as Record<string, object>;
  assert.ok(String(newRows[0]) in json['added_tokens_decoder']!, 'for Python too');
});

test('any encoders are put together, one or several, of any kind', async () => {
  const siglip = join(golden, 'encoders/siglip');
  const lone: AssemblyRecipe = {
    ...recipe,
    encoders: [
      {
        ...recipe.encoders[0]!,
        name: 'siglip',
        from: siglip,
        imageSize: null,
        levels: [1, -1],
        merge: { kind: 'concat' },
      },
    ],
    projector: { kind: 'mlp', layers: 2, act: 'gelu' },
  };
  const llm = languageModel(root);
  const one = await assembleComm(lone, { encoders: [siglip], languageModel: llm }, outFolder());
  assert.deepEqual(one.untrained, ['projector']);
  assert.deepEqual(
    one.config.vision.encoders.map(({ type }) => type),
    ['siglip'],
  );
  const three: AssemblyRecipe = {
    ...recipe,
    encoders: [...recipe.encoders, { ...recipe.encoders[0]!, name: 'again' }],
  };
  const out = outFolder();
  const { config } = await assembleComm(
    three,
    { encoders: [folders.clip, folders.dinov2, folders.clip], languageModel: llm },
    out,
  );
  assert.deepEqual(
    config.vision.encoders.map(({ type }) => type),
    ['clip', 'dinov2', 'clip'],
  );
  loadCommFolder(out).model.dispose();
});

test('the shipped recipe for the paper gives the preset of the paper', async () => {
  const { clip, dinov2 } = { clip: paper.encoders[0]!, dinov2: paper.encoders[1]! };
  const [a, b] = comm7b().vision.encoders;
  assert.deepEqual([clip.levels, dinov2.levels], [a!.levels, b!.levels]);
  assert.deepEqual([clip.align, dinov2.align], [a!.align, b!.align]);
  assert.deepEqual({ ...clip.merge, width: 1024 }, a!.merge);
  assert.deepEqual({ ...dinov2.merge, width: 1024 }, b!.merge);
  assert.deepEqual([clip.imageSize, dinov2.imageSize], [a!.image.size, b!.image.size]);
  assert.deepEqual([paper.fuse, paper.projector], [comm7b().vision.fuse, comm7b().projector]);
});

test('parts that do not fit leave nothing behind', async () => {
  const llm = languageModel(root);
  const encoders = [folders.clip, folders.dinov2];
  const cases: [AssemblyRecipe, string, RegExp][] = [
    [paper, llm, /image_size|levels/],
    [{ ...recipe, encoders: recipe.encoders.map((e) => ({ ...e, levels: [9] })) }, llm, /Level 9 does not exist/],
    [{ ...recipe, encoders: recipe.encoders.map((e, i) => ({ ...e, imageSize: 32 * (i + 1) })) }, llm, /token counts/],
    [recipe, languageModel(root, { vocabSize: 400 }), /420 tokens.*400/],
  ];
  for (const [changed, languageModelFolder, message] of cases) {
    const out = outFolder();
    await assert.rejects(
      assembleComm(changed, { encoders, languageModel: languageModelFolder }, out),
      (error) => error instanceof CommError && message.test(error.message),
      String(message),
    );
    assert.ok(!existsSync(out));
  }
  await assert.rejects(
    assembleComm(recipe, { encoders: [folders.dinov2, folders.clip], languageModel: llm }, outFolder()),
    /holds a dinov2 encoder, where the recipe has its clip/,
  );
  const taken = outFolder();
  await assembleComm(recipe, { encoders, languageModel: llm }, taken);
  await assert.rejects(assembleComm(recipe, { encoders, languageModel: llm }, taken), /is not empty/);
});

test('a config that marks a part that does not exist is refused', async () => {
  const out = outFolder();
  await assembleComm(recipe, { encoders: [folders.clip, folders.dinov2], languageModel: languageModel(root) }, out);
  const path = join(out, 'config.json');
  const json = JSON.parse(readFileSync(path, 'utf8')) as { untrained: string[] };
  writeFileSync(path, JSON.stringify({ ...json, untrained: ['vision.fusion'] }));
  assert.throws(() => loadCommFolder(out), /no part 'vision\.fusion'/);
});
