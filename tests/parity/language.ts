/**
 * Parity of language models with the transformers library on the folders of tests/golden/language, which that library
 * wrote (tools/golden/language.py): hidden states, logits, gradients, 64 greedy tokens through our engine and cache, ids
 * and decoded texts of the tokenizer, and chats as text and as ids.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { io, noGrad, scope, type Tensor, zeros } from '@commlm/torch';
import { maxRelDiff } from '@commlm/torch/testing';
import { BatchEngine, GREEDY, hfLanguageModel, LlamaDecoder, loadHfLanguageModel, Tokenizer } from 'commlm';
import { forwardBound, gradientBound } from './arithmetic.js';
import type { ParityRow } from './measure.js';

const { encodeChat, renderChatTemplate } = (await import(
  new URL('../../../packages/commlm/dist/text/chat-template.js', import.meta.url).href
)) as typeof import('../../packages/commlm/dist/text/chat-template.js');

type Llama = ReturnType<typeof loadHfLanguageModel>;

/** In bf16 three times what the reference itself loses against its own f32: kernels round at other places, and the sample is small. */
const BF16_FACTOR = 3;

const root = fileURLToPath(new URL('../../golden/language', import.meta.url));

/** Names of the golden language models. */
export const goldenLanguageModels = (): string[] => readdirSync(root).sort();

/** The folder of a golden language model. */
export const goldenLanguageFolder = (model: string): string => join(root, model);

interface TextGolden {
  readonly texts: readonly { text: string; ids: number[]; plain: number[]; decoded: string }[];
  readonly chats: readonly {
    messages: { role: string; content: string }[];
    addGenerationPrompt: boolean;
    variables: Record<string, unknown>;
    text: string;
    ids: number[];
  }[];
}

/** All rows of one model. */
export async function measureLanguage(model: string): Promise<ParityRow[]> {
  const folder = goldenLanguageFolder(model);
  using golden = io.openSafetensors(join(folder, 'golden.safetensors'));
  const numbers = scope(() => numberRows(model, folder, golden));
  numbers.push(...scope(() => noGrad(() => roundedRows(model, folder, golden))));
  return [...numbers, await greedyRow(model, folder, golden), ...(await textRows(model, folder))];
}

const row = (model: string, quantity: string, difference: number, bound: number): ParityRow => ({
  model,
  dtype: 'f32',
  quantity,
  difference,
  bound,
  ok: difference <= bound,
});

function roundedRows(model: string, folder: string, golden: io.SafetensorsFile): ParityRow[] {
  using llama = loadHfLanguageModel(folder);
  const { hidden, last } = forward(llama, llama.embed(golden.tensor('input.ids')), golden);
  const states = hidden.map((state, i) => maxRelDiff(state, golden.tensor(`f32.hidden.${i}`)));
  const rows = { hidden: Math.max(...states), logits: maxRelDiff(last, golden.tensor('f32.logits')) };
  return (['hidden', 'logits'] as const).map((name) => ({
    ...row(
      model,
      name === 'hidden' ? `hidden states 0..${hidden.length - 1}` : name,
      rows[name],
      BF16_FACTOR * golden.tensor(`bf16_error.${name}`).item(),
    ),
    dtype: 'bf16',
  }));
}

/** Input of the first block and output of each, and the logits of the last positions. */
function forward(llama: Llama, embeds: Tensor, golden: io.SafetensorsFile): { hidden: Tensor[]; last: Tensor } {
  const hidden = [embeds];
  const context = llama.model.context(embeds);
  for (const [i, layer] of llama.model.layers.entries()) hidden.push(layer.forward(hidden[i]!, context, i));
  const numLast = golden.info('f32.logits').shape[1]!;
  const logits = llama.logits(llama.model.norm.forward(hidden.at(-1)!));
  return { hidden, last: logits.narrow(1, logits.shape[1]! - numLast, numLast) };
}

function numberRows(model: string, folder: string, golden: io.SafetensorsFile): ParityRow[] {
  using llama = loadHfLanguageModel(folder, { dtype: 'f32' });
  llama.requiresGrad_(true);
  const embeds = llama.embed(golden.tensor('input.ids')).detach().clone().requiresGrad_();
  const { hidden, last } = forward(llama, embeds, golden);
  const states = hidden.map((state, i) => maxRelDiff(state, golden.tensor(`f32.hidden.${i}`)));

  last.mul(golden.tensor('input.cotangent.logits').to('f32')).sum().backward();
  const named = llama.namedParameters();
  const { rules } = hfLanguageModel(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')), 'config.json');
  const weights = rules.filter(({ theirs }) => golden.has(`grad.${theirs[0]}`));
  const gradients = weights.map(({ ours, theirs }) => {
    const parameter = named.get(ours)!;
    return maxRelDiff(parameter.grad ?? zeros(parameter.shape), golden.tensor(`grad.${theirs[0]}`));
  });
  const [bound, ofGradients] = [forwardBound(llama.config), gradientBound(llama.config)];
  return [
    row(model, `hidden states 0..${hidden.length - 1}`, Math.max(...states), bound),
    row(model, 'logits', maxRelDiff(last, golden.tensor('f32.logits')), bound),
    row(model, 'gradient of embeds', maxRelDiff(embeds.grad!, golden.tensor('grad.embeds')), ofGradients),
    row(model, `gradients of ${weights.length} weights`, Math.max(...gradients), ofGradients),
  ];
}

/** Differing tokens of 64, out of the engine with its cache. */
async function greedyRow(model: string, folder: string, golden: io.SafetensorsFile): Promise<ParityRow> {
  const numbers = (key: string): number[] => scope(() => Array.from(golden.tensor(key).toArray(), Number));
  using llama = loadHfLanguageModel(folder, { dtype: 'f32' });
  const expected = numbers('greedy.tokens');
  const tokens: number[] = [];
  const request = {
    prompt: { ids: numbers('greedy.prompt') },
    maxNewTokens: expected.length,
    sampling: GREEDY,
    stopIds: new Set<number>(),
  };
  for await (const event of new BatchEngine(new LlamaDecoder(llama)).run([request])) {
    if (event.type === 'token') tokens.push(event.token);
  }
  const differing =
    expected.filter((token, i) => token !== tokens[i]).length + Math.abs(tokens.length - expected.length);
  return row(model, `${expected.length} greedy tokens, differing`, differing, 0);
}

/** Differing texts: ids with and without what the tokenizer adds, decoded texts, chats as text and ids. */
async function textRows(model: string, folder: string): Promise<ParityRow[]> {
  const tokenizer = await Tokenizer.load(folder);
  const { texts, chats } = JSON.parse(readFileSync(join(folder, 'text.json'), 'utf8')) as TextGolden;
  const count = <T>(items: readonly T[], differs: (item: T) => boolean): number => items.filter(differs).length;
  const differ = (a: readonly number[], b: readonly number[]): boolean => a.join() !== b.join();
  const rows = [
    row(
      model,
      `ids of ${texts.length} texts, differing`,
      count(texts, ({ text, ids, plain }) => {
        return differ(tokenizer.encode(text), plain) || differ(tokenizer.encode(text, { addSpecial: true }), ids);
      }),
      0,
    ),
    row(
      model,
      `${texts.length} decoded texts, differing`,
      count(texts, ({ plain, decoded }) => tokenizer.decode(plain) !== decoded),
      0,
    ),
  ];
  if (chats.length === 0) return rows;
  const differs = ({ messages, addGenerationPrompt, variables, text, ids }: TextGolden['chats'][number]): boolean => {
    const options = { addGenerationPrompt, variables };
    return (
      renderChatTemplate(messages, tokenizer, options) !== text ||
      differ(encodeChat(messages, tokenizer, undefined, options).ids, ids)
    );
  };
  return [...rows, row(model, `${chats.length} chats as text and ids, differing`, count(chats, differs), 0)];
}
