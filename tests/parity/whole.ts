/**
 * Parity of whole models with the libraries that wrote them (tools/golden/whole.py): pixels, every hidden state of the
 * picture encoders and of the language model, visual tokens, logits, the prompt's text and ids, and 64 greedy tokens.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DType, io, noGrad, scope, type Tensor, tensor } from '@commlm/torch';
import { maxRelDiff } from '@commlm/torch/testing';
import {
  BatchEngine,
  type Comm,
  decodeImage,
  GREEDY,
  LlamaDecoder,
  openModel,
  preprocess,
  renderChatTemplate,
  renderPrompt,
  Tokenizer,
} from 'commlm';
import { forwardBound } from './arithmetic.js';
import type { ParityRow } from './measure.js';

const folder = fileURLToPath(new URL('../../golden/whole', import.meta.url));

/** What golden.json of a model says. */
interface Facts {
  readonly question: string;
  readonly ids: readonly number[];
  readonly greedy: readonly number[];
  /** The prompt as text, where the reference makes one. */
  readonly text?: string;
  /** Folders beside the model's own. */
  readonly visionTowers?: readonly string[];
  readonly base?: string;
}

/** Names of the golden models. */
export const wholeModels = (): string[] =>
  readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, 'golden.json')))
    .sort();

/** The facts of a golden model and the folders that it is opened with. */
export function goldenModel(name: string): {
  readonly path: string;
  readonly facts: Facts;
  readonly options: { readonly visionTowers?: readonly string[]; readonly base?: string };
} {
  const path = join(folder, name);
  const facts = JSON.parse(readFileSync(join(path, 'golden.json'), 'utf8')) as Facts;
  const { visionTowers, base } = facts;
  return {
    path,
    facts,
    options: {
      ...(visionTowers === undefined ? {} : { visionTowers: visionTowers.map((tower) => join(path, tower)) }),
      ...(base === undefined ? {} : { base: join(path, base) }),
    },
  };
}

/** All rows of one model; `at` is another folder with the same model, converted or renamed. */
export async function measureWhole(name: string, at?: string): Promise<ParityRow[]> {
  const { path, facts, options } = goldenModel(name);
  using golden = io.openSafetensors(join(path, 'golden.safetensors'));
  const { model, tokenizer: tokenizerFolder } = openModel(at ?? path, {
    ...(at === undefined ? options : {}),
    dtype: 'f32',
  });
  const tokenizer = await Tokenizer.load(tokenizerFolder);
  const picture = await decodeImage(join(path, 'picture.png'));
  const inputs = model.config.vision.encoders.map(({ image }) => preprocess(picture, image));
  try {
    const run = scope(() =>
      noGrad(() =>
        forward(
          model,
          golden,
          facts,
          inputs.map(({ pixels }) => pixels),
        ),
      ),
    );
    const images = [{ visual: model.languageModel.model.embedTokens.weight, frame: inputs[0]!.frame, key: 0 }];
    const { ids } = renderPrompt(model, tokenizer, [{ question: facts.question, images }], undefined);
    const tokens = await greedy(
      model,
      facts,
      inputs.map(({ pixels }) => pixels),
    );
    const text = templateText(model, tokenizer, facts);
    return [
      ...(text === undefined ? [] : [row(name, 'text of the chat template', text === facts.text ? 0 : 1, 0)]),
      ...run.map(({ quantity, difference, bound }) => row(name, quantity, difference, bound)),
      row(name, `ids of the prompt (${facts.ids.length})`, unequal(ids, facts.ids), 0),
      row(name, `${facts.greedy.length} greedy tokens`, unequal(tokens, facts.greedy), 0),
    ];
  } finally {
    model.languageModel.model.dispose();
    model.dispose();
  }
}

/** The prompt as the model's template spells it; undefined for models with a fixed form. */
function templateText({ config }: Comm, tokenizer: Tokenizer, { question, text }: Facts): string | undefined {
  const { conversation } = config;
  if (conversation?.kind !== 'template' || text === undefined) return undefined;
  const { contents, template } = conversation;
  const image = tokenizer.idToToken(config.imageTokens.patchId) ?? '';
  const content =
    contents === 'text' ? image + question : [{ type: 'image' } as const, { type: 'text', text: question } as const];
  return renderChatTemplate([{ role: 'user', content }], tokenizer, template === undefined ? {} : { template });
}

interface Measured {
  readonly quantity: string;
  readonly difference: number;
  readonly bound: number;
}

function forward(model: Comm, golden: io.SafetensorsFile, facts: Facts, pixels: readonly Float32Array[]): Measured[] {
  const encoders = model.vision.encoders;
  const name = (base: string, i: number): string => (encoders.length === 1 ? base : `${base}.${i}`);
  const inputs = encoders.map(({ config }, i) => toInput(pixels[i]!, config.image.size));
  const measured: Measured[] = [];
  const compare = (quantity: string, ours: readonly Tensor[], theirs: readonly string[], bound: number): void => {
    const differences = ours.map((x, i) => maxRelDiff(x, golden.tensor(theirs[i]!)));
    measured.push({ quantity, difference: Math.max(...differences), bound });
  };
  for (const [i, { vit }] of encoders.entries()) {
    compare(name('pixels', i), [inputs[i]!], [name('pixels', i)], 0);
    const indices = Array.from({ length: vit.config.numLayers + 1 }, (_, level) => level);
    const stored = indices.filter((level) => golden.has(`${name('vision', i)}.hidden.${level}`));
    const states = vit.forward(golden.tensor(name('pixels', i)), stored, { keepSpecial: true });
    const quantity = `hidden states 0..${stored.length - 1} of ${vit.config.numLayers + 1}, ${name('vision', i)}`;
    compare(
      quantity,
      states,
      stored.map((level) => `${name('vision', i)}.hidden.${level}`),
      forwardBound(vit.config),
    );
  }
  const visual = model.encodeImages(encoders.map((_, i) => golden.tensor(name('pixels', i))));
  const towers = encoders.map(({ vit }) => vit.config);
  compare('visual tokens', [visual], ['visual'], forwardBound(...towers));
  const embeds = model.embed(toIds(facts.ids), visual);
  const decoder = model.languageModel.model;
  const bound = forwardBound(...towers, model.languageModel.config);
  const context = decoder.context(embeds);
  const states = [embeds];
  for (const [i, layer] of decoder.layers.entries()) states.push(layer.forward(states.at(-1)!, context, i));
  compare(
    `hidden states 0..${states.length - 1}, language`,
    states,
    states.map((_, i) => `hidden.${i}`),
    bound,
  );
  const logits = model.languageModel.logits(decoder.norm.forward(states.at(-1)!));
  const last = golden.tensor('logits').shape[1]!;
  compare('logits', [logits.narrow(1, facts.ids.length - last, last)], ['logits'], bound);
  return measured;
}

async function greedy(model: Comm, facts: Facts, pixels: readonly Float32Array[]): Promise<number[]> {
  const inputs = model.config.vision.encoders.map(({ image }, i) => toInput(pixels[i]!, image.size));
  const embeds = scope(() => noGrad(() => model.embed(toIds(facts.ids), model.encodeImages(inputs)).select(0, 0)));
  for (const input of inputs) input.dispose();
  const engine = new BatchEngine(new LlamaDecoder(model.languageModel));
  const request = {
    prompt: { embeds },
    maxNewTokens: facts.greedy.length,
    sampling: GREEDY,
    stopIds: new Set<number>(),
  };
  const tokens: number[] = [];
  for await (const event of engine.run([request])) if (event.type === 'token') tokens.push(event.token);
  embeds.dispose();
  return tokens;
}

const toInput = (pixels: Float32Array, side: number): Tensor =>
  tensor(pixels as Float32Array<ArrayBuffer>, { shape: [1, 3, side, side] });

const toIds = (ids: readonly number[]): Tensor => tensor(BigInt64Array.from(ids, BigInt), { shape: [1, ids.length] });

/** How many places differ. */
const unequal = (a: readonly number[], b: readonly number[]): number =>
  Math.abs(a.length - b.length) + b.filter((value, i) => a[i] !== value).length;

const row = (model: string, quantity: string, difference: number, bound: number): ParityRow => ({
  model,
  dtype: 'f32' satisfies DType,
  quantity,
  difference,
  bound,
  ok: difference <= bound,
});
