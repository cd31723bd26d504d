/**
 * The suite `train`: steps of a Vicuna-shaped stack of blocks (forward, backward with every block recomputed, AdamW) beside
 * the same model in transformers, with the same weights and tokens. Both sides run in processes of their own, step about;
 * each process's peak of resident memory is the kernel's own (VmHWM).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { io, manualSeed, numThreads, op, scope } from '@commlm/torch';
import type { LlamaConfig } from '../config/model.js';
import { vicuna7b } from '../config/presets.js';
import { Llama } from '../models/llama.js';
import { type Measurement, median, Peer, pause } from './peer.js';
import { announce, type BenchOptions, type BenchRow, type StackShape } from './suite.js';

const CHILD = fileURLToPath(new URL('train-child.js', import.meta.url));
const randint = op('aten::randint');

/** Steps over which the losses are compared. */
const CURVE_STEPS = 50;
const NUM_BATCHES = 8;
const LR = 1e-4;

/** A quarter of Vicuna 7B's width and an eighth of its depth; a picture of 256 tokens with a conversation behind it. */
export const STACK: StackShape = { hiddenSize: 1024, numLayers: 4, batchSize: 1, numTokens: 640 };

/** Vicuna 7B at another width and depth; heads keep their width of 128, the MLP its share rounded up to a multiple of 64. */
function stackConfig({ hiddenSize, numLayers }: StackShape): LlamaConfig {
  const full = vicuna7b();
  const numHeads = hiddenSize / full.headDim;
  const intermediateSize = 64 * Math.ceil((hiddenSize * full.intermediateSize) / full.hiddenSize / 64);
  return { ...full, hiddenSize, intermediateSize, numLayers, numHeads, numKvHeads: numHeads };
}

/** Writes the stack in transformers' layout and the tokens of all batches. */
function writeStack(folder: string, shape: StackShape): number {
  const config = stackConfig(shape);
  manualSeed(0);
  using model = new Llama(config);
  scope(() => {
    io.writeSafetensors(join(folder, 'model.safetensors'), [...model.stateDict()], { format: 'pt' });
    const ids = randint(config.vocabSize, [NUM_BATCHES, shape.batchSize, shape.numTokens], 'i64');
    io.writeSafetensors(join(folder, 'batches.safetensors'), [['ids', ids]]);
  });
  const json = {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    num_key_value_heads: config.numKvHeads,
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: config.rmsNormEps,
    rope_theta: config.ropeTheta,
    hidden_act: 'silu',
    tie_word_embeddings: false,
    attention_dropout: 0,
    torch_dtype: 'float32',
  };
  writeFileSync(join(folder, 'config.json'), `${JSON.stringify(json, null, 2)}\n`);
  return model.numParameters();
}

/** Both sides' steps, in turns. */
interface Turns {
  readonly ours: readonly Measurement[];
  readonly peer: readonly Measurement[];
  /** Name of the peer, or why there is none. */
  readonly name: string;
}

async function takeTurns(folder: string, dtype: string, steps: number, options: BenchOptions): Promise<Turns> {
  const [threads, args] = [numThreads(), [folder, dtype, String(LR)]];
  const mine = await Peer.spawn(process.execPath, [CHILD, ...args], threads, options.signal);
  if (typeof mine === 'string') throw new Error(`our side of the suite did not start: ${mine}`);
  using ours = mine;
  const other = await Peer.start(options.python, 'train', threads, { args, signal: options.signal });
  using peer = typeof other === 'string' ? null : other;
  const turns = { ours: [] as Measurement[], peer: [] as Measurement[] };
  for (let step = 0; step < steps; step++) {
    options.signal?.throwIfAborted();
    const started = performance.now();
    for (const [side, measurements] of [
      [ours, turns.ours],
      [peer, turns.peer],
    ] as const) {
      if (side === null) continue;
      await pause(50);
      measurements.push(await side.measure());
    }
    // The first step fills pools and makes the optimiser's state.
    if (step === 1) announce(performance.now() - started, steps - 2, options.onWait);
  }
  const versions = Object.entries(peer?.info.versions ?? {}).map(([library, version]) => `${library} ${version}`);
  return { ...turns, name: typeof other === 'string' ? other : versions.join(', ') };
}

/** Rows of one number format: without the first step, which fills pools and makes the optimiser's state. */
function rowsOf({ ours, peer, name }: Turns, dtype: string): BenchRow[] {
  const row = (what: string, unit: string, of: (m: Measurement) => number | null | undefined): BenchRow[] => {
    const figures = (side: readonly Measurement[]): number[] => side.slice(1).flatMap((m) => of(m) ?? []);
    const [mine, theirs] = [figures(ours), figures(peer)];
    if (mine.length === 0) return [];
    const beside =
      theirs.length === 0
        ? { peer: { name: 'transformers', note: name } }
        : { peer: { name, value: median(theirs) }, ratio: median(mine.map((value, i) => value / theirs[i]!)) };
    return [{ suite: 'train', what: `${what} in ${dtype}`, unit, ours: median(mine), ...beside }];
  };
  const last = (side: readonly Measurement[]): Measurement[] => side.slice(-1);
  return [
    ...row('step', 'ms', ({ value }) => 1000 * value),
    ...row('processor time of a step', 'ms', ({ cpu }) => (cpu === undefined ? null : 1000 * cpu)),
    // The kernel's peak only grows: the last step has that of the run.
    ...row('peak resident memory', 'MiB', (m) =>
      [...last(ours), ...last(peer)].includes(m) && typeof m.peakKiB === 'number' ? m.peakKiB / 1024 : null,
    ),
  ];
}

/** The largest difference of the losses of one step. */
function curveRow({ ours, peer, name }: Turns): BenchRow[] {
  if (peer.length === 0) return [];
  const differences = ours.map(({ loss }, i) => Math.abs(loss! - peer[i]!.loss!));
  const [first, last] = [ours[0]!.loss!, ours.at(-1)!.loss!];
  return [
    {
      suite: 'train',
      what: `loss over ${ours.length} steps in f32 (${first.toFixed(2)} to ${last.toFixed(2)}): largest difference`,
      unit: '1e-4 nats',
      ours: 1e4 * Math.max(...differences),
      peer: { name },
    },
  ];
}

/** Time and memory of a step in f32 and bf16 and the loss curve in f32, beside transformers. */
export async function* trainSuite(options: BenchOptions): AsyncGenerator<BenchRow, void, void> {
  const shape = options.stack ?? STACK;
  const folder = mkdtempSync(join(tmpdir(), 'commlm-train-'));
  try {
    const numParameters = writeStack(folder, shape);
    const { hiddenSize, numLayers, batchSize, numTokens } = shape;
    options.onNote?.(
      `${numLayers} blocks of width ${hiddenSize}, ${(numParameters / 1e6).toFixed(0)} M parameters, ${batchSize} x ${numTokens} tokens a step`,
    );
    const f32 = await takeTurns(folder, 'f32', CURVE_STEPS, options);
    yield* [...rowsOf(f32, 'f32'), ...curveRow(f32)];
    yield* rowsOf(await takeTurns(folder, 'bf16', options.rounds + 1, options), 'bf16');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
