/** The engine on a small random Llama: cached = uncached, a batch = its singles, seeds, stops, aborts, flat memory. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { full, manualSeed, memoryStats, nn, noGrad, scope, type Tensor, tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { LlamaConfig } from '../config/model.js';
import { Llama } from '../models/llama.js';
import { LlamaDecoder } from './decoder.js';
import { BatchEngine, type GenerateOptions, type GenerateRequest, type TokenEvent } from './engine.js';
import { PrefixCache } from './prefix-cache.js';
import { GREEDY } from './sampling.js';

const config: LlamaConfig = {
  vocabSize: 97,
  hiddenSize: 32,
  intermediateSize: 48,
  numLayers: 2,
  numHeads: 4,
  numKvHeads: 2,
  headDim: 8,
  maxPositions: 96,
  ropeTheta: 10_000,
  ropeScaling: { kind: 'none' },
  rmsNormEps: 1e-5,
  tieWordEmbeddings: false,
  qkvBias: false,
  outBias: false,
  mlpBias: false,
};

manualSeed(17);
const llama = new Llama(config);
// Large weights spread the logits, so that no two tokens tie.
for (const parameter of llama.parameters()) if (parameter.ndim === 2) nn.init.normal_(parameter, 0, 0.35);
llama.requiresGrad_(false).eval();
const decoder = new LlamaDecoder(llama);
const engine = new BatchEngine(decoder);
after(() => llama.dispose());

const request = (ids: readonly number[], rest: Partial<GenerateRequest> = {}): GenerateRequest => ({
  prompt: { ids },
  maxNewTokens: 24,
  sampling: GREEDY,
  stopIds: new Set(),
  ...rest,
});

interface Result {
  tokens: number[];
  reason: string;
}

async function run(requests: readonly GenerateRequest[], options: GenerateOptions = {}): Promise<Result[]> {
  const results = requests.map((): Result => ({ tokens: [], reason: '' }));
  for await (const event of engine.run(requests, options)) {
    if (event.type === 'prefill') continue;
    const result = results[event.request] as Result;
    assert.equal(result.reason, '', 'an event after finish');
    if (event.type === 'error') throw event.error;
    if (event.type === 'token') result.tokens.push(event.token);
    else {
      result.reason = event.reason;
      assert.equal(event.numTokens, result.tokens.length);
    }
  }
  return results;
}

/** Greedy decoding the slow way: the whole sequence again for every token, without a cache. */
function uncached(ids: readonly number[], count: number): number[] {
  const all = [...ids];
  for (let i = 0; i < count; i++) {
    const input = (): Tensor => tensor(BigInt64Array.from(all, BigInt)).unsqueeze(0);
    all.push(scope(() => noGrad(() => llama.nextLogits(input()).argmax(1).item())));
  }
  return all.slice(ids.length);
}

const prompts = [[1, 5, 9, 22], [7], [3, 3, 80, 12, 44, 61, 2, 19, 30], [90, 4], [11, 12, 13, 14, 15, 16]];

test('cached decoding gives the tokens of uncached decoding', async () => {
  for (const ids of prompts) {
    const [result] = await run([request(ids)]);
    assert.deepEqual(result?.tokens, uncached(ids, 24));
    assert.equal(result?.reason, 'length');
  }
});

test('a batch gives exactly the answers of its singles, lengths and stops of their own', async () => {
  const settings = prompts.map((ids, i) => ({
    ids,
    rest: { maxNewTokens: 5 + 9 * i, sampling: { temperature: i % 2, topP: 0.95, seed: i } },
  }));
  const free = await Promise.all(settings.map(({ ids, rest }) => run([request(ids, rest)])));
  // Every other one is stopped by a token that it is known to draw.
  const requests = settings.map(({ ids, rest }, i) => {
    const drawn = free[i]?.[0]?.tokens.at(-2) as number;
    return request(ids, { ...rest, stopIds: new Set(i % 2 === 0 ? [drawn] : []) });
  });
  const singles = (await Promise.all(requests.map((one) => run([one])))).flat();
  assert.deepEqual(await run(requests), singles);
  assert.ok(new Set(singles.map(({ tokens }) => tokens.length)).size > 2, 'the lengths should differ');
  assert.ok(singles.some(({ reason }) => reason === 'stop'));
});

test('an answer that ends with its first token leaves the others of its batch alone', async () => {
  const [first] = await run([request([7])]);
  const requests = [request([7], { stopIds: new Set([first!.tokens[0]!]) }), request([1, 5, 9]), request([90, 4])];
  const singles = (await Promise.all(requests.map((one) => run([one])))).flat();
  assert.deepEqual(singles[0], { tokens: [], reason: 'stop' });
  assert.deepEqual(await run(requests), singles);
});

test('embeddings in place of ids give the same answer', async () => {
  const embeds = decoder.embed([1, 5, 9, 22]);
  try {
    const [byIds] = await run([request([1, 5, 9, 22])]);
    assert.deepEqual(await run([request([], { prompt: { embeds } }), request([7])]), [
      byIds,
      ...(await run([request([7])])),
    ]);
  } finally {
    embeds.dispose();
  }
});

test('the context ends an answer, also for padded rows of a batch', async () => {
  const long = Array.from({ length: 90 }, (_, i) => i);
  const requests = [
    request(long, { maxNewTokens: 500 }),
    request([5, 6], { maxNewTokens: 500 }),
    request([8], { maxNewTokens: 500 }),
  ];
  const singles = (await Promise.all(requests.map((one) => run([one])))).flat();
  // The last token is drawn from the last position and needs none of its own.
  assert.deepEqual(
    singles.map(({ tokens, reason }) => [tokens.length, reason]),
    [
      [7, 'length'],
      [95, 'length'],
      [96, 'length'],
    ],
  );
  assert.deepEqual(await run(requests), singles);
});

test('a seed fixes the tokens, another seed changes them', async () => {
  const sample = (seed: number): Promise<Result[]> =>
    run([request([1, 2, 3], { sampling: { temperature: 1.2, topP: 1, seed } })]);
  assert.deepEqual(await sample(4), await sample(4));
  assert.notDeepEqual(await sample(4), await sample(5));
});

test('stopWhen ends the answer after its token', async () => {
  const seen: number[] = [];
  const [result] = await run([request([1, 5], { stopWhen: (token) => seen.push(token) === 3 })]);
  assert.deepEqual(result, { tokens: seen, reason: 'stop' });
});

test('a prefix cache runs what is new alone, and gives the tokens of a whole run', async () => {
  using prefix = new PrefixCache();
  const ids = [1, 5, 9, 22, 40, 41];
  const [whole] = await run([request(ids)]);
  await run([request([1, 5, 9, 22], { maxNewTokens: 3, prefix })]);
  // The last token drawn has not been through the model.
  assert.equal(prefix.length, 6);
  assert.deepEqual(await run([request(ids, { prefix })]), [whole]);
  assert.equal(prefix.length, 6 + 23);
  // The same again, a part of it, and something else.
  for (const next of [ids, ids.slice(0, 3), [...ids, ...whole!.tokens.slice(0, 5), 3], [2]]) {
    assert.deepEqual(await run([request(next, { prefix })]), await run([request(next)]));
  }
});

test('a prefix cache runs as few positions as are new, and serves one run at a time', async () => {
  using prefix = new PrefixCache();
  const numRun: number[] = [];
  const counting = Object.assign(Object.create(decoder) as LlamaDecoder, {
    embed: (ids: readonly number[]) => decoder.embed(ids),
    createCache: (rows: number, capacity: number) => decoder.createCache(rows, capacity),
    dtype: decoder.dtype,
    device: decoder.device,
    maxPositions: decoder.maxPositions,
    lastLogits: (...args: Parameters<LlamaDecoder['lastLogits']>) => {
      numRun.push(args[0].shape[1]!);
      return decoder.lastLogits(...args);
    },
  });
  const counted = new BatchEngine(counting);
  const ask = async (ids: readonly number[]): Promise<void> => {
    for await (const _ of counted.run([request(ids, { maxNewTokens: 1, prefix })]));
  };
  await ask([1, 5, 9, 22]);
  await ask([1, 5, 9, 22, 40, 41]);
  await ask([1, 5, 9, 22, 40, 41]);
  assert.deepEqual(numRun, [4, 2, 1]);
  const first = counted.run([request([1, 5], { prefix })]);
  await first.next();
  await assert.rejects(counted.run([request([1, 5], { prefix })]).next(), TypeError);
  await first.return();
  await assert.rejects(counted.run([request([1], { prefix }), request([2])]).next(), TypeError);
  await ask([1, 5]);
});

test('an abort ends the run between two tokens and lets timers in before', async () => {
  const abort = new AbortController();
  const before = memoryStats().liveTensors;
  setTimeout(() => abort.abort(new Error('enough')), 5);
  let numTokens = 0;
  await assert.rejects(async () => {
    for (;;) {
      for await (const event of engine.run([request([1], { maxNewTokens: 90 })], { signal: abort.signal })) {
        if (event.type === 'token') numTokens++;
      }
    }
  }, /enough/);
  assert.ok(numTokens > 0);
  assert.equal(memoryStats().liveTensors, before);
});

test('leaving the loop early frees everything', async () => {
  const before = memoryStats().liveTensors;
  for await (const event of engine.run([request([1]), request([2, 3])])) if (event.type === 'token') break;
  assert.equal(memoryStats().liveTensors, before);
});

test('hundreds of runs leave no tensor behind', async () => {
  await run(prompts.map((ids) => request(ids)));
  const before = memoryStats().liveTensors;
  for (let i = 0; i < 100; i++)
    await run(prompts.slice(0, 1 + (i % 5)).map((ids) => request(ids, { maxNewTokens: 3 })));
  assert.equal(memoryStats().liveTensors, before);
});

test('impossible requests are refused with a sentence', async () => {
  const refused = (one: GenerateRequest, code: string): Promise<void> =>
    assert.rejects(run([one]), (error) => error instanceof CommError && error.code === code);
  await refused(request([]), 'generate/empty-prompt');
  await refused(request([1], { maxNewTokens: 0 }), 'generate/max-new-tokens');
  await refused(request(Array.from({ length: 97 }, () => 1)), 'generate/too-long');
  await refused(request([1], { sampling: { temperature: -1, topP: 1, seed: 0 } }), 'generate/sampling');
});

test('weights that are not numbers are named as such', async () => {
  const broken = new Llama(config);
  broken.requiresGrad_(false);
  noGrad(() => broken.model.norm.weight!.fill_(Number.NaN));
  const events: TokenEvent[] = [];
  for await (const event of new BatchEngine(new LlamaDecoder(broken)).run([request([1])])) events.push(event);
  const last = events.at(-1);
  assert.ok(last?.type === 'error' && last.error instanceof CommError && last.error.code === 'generate/not-finite');
  broken.dispose();
});

test('a request that fails or is aborted leaves those beside it alone', async () => {
  const good = [request([1, 5, 9, 22]), request([7], { sampling: { temperature: 1, topP: 0.9, seed: 2 } })];
  const alone = (await Promise.all(good.map((one) => run([one])))).flat();
  const abort = new AbortController();
  using poison = full([3, config.hiddenSize], Number.NaN);
  const before = memoryStats().liveTensors;
  const requests = [
    request([], { prompt: { embeds: poison } }),
    good[0]!,
    request([3, 4], { signal: abort.signal }),
    good[1]!,
  ];
  const tokens: number[][] = requests.map(() => []);
  const errors: unknown[] = [];
  let liveAtEnd = 0;
  for await (const event of engine.run(requests)) {
    if (event.type === 'token') tokens[event.request]!.push(event.token);
    if (event.type === 'error') errors[event.request] = event.error;
    if (event.type === 'token' && event.request === 2 && tokens[2]!.length === 3) abort.abort(new Error('enough'));
    liveAtEnd = memoryStats().liveTensors;
  }
  assert.deepEqual(
    [tokens[1], tokens[3]],
    alone.map((one) => one.tokens),
  );
  assert.equal((errors[0] as CommError).code, 'generate/not-finite');
  assert.deepEqual([errors[1], errors[2], errors[3]], [undefined, new Error('enough'), undefined]);
  assert.equal(tokens[2]!.length, 3);
  assert.equal(liveAtEnd, before, 'the last event comes after the memory is given back');
});
