/** From the answers of a benchmark to its figures: what is no answer is set aside and counted, the rest is read and scored. */
import { join } from 'node:path';
import { answerKey, type LoggedAnswer } from './answer-log.js';
import type { Benchmark } from './benchmarks/benchmark.js';
import { type EvalItem, type LoadedBenchmark, unitsOf } from './benchmarks/item.js';
import { bootstrapIntervals, FEW_CLUSTERS } from './bootstrap.js';
import { frameNotes, type PictureSize } from './coordinates.js';
import { type EvalPrompt, fillPrompt, readAnswer, unframed } from './prompts.js';
import type { BenchmarkResult, DataFileFacts, EvalFigure, EvalSample, Unanswered } from './results.js';
import { cutThinking } from './thinking.js';

/** A benchmark with everything that is known before a question is asked. */
export interface Task {
  readonly benchmark: Benchmark;
  readonly reader: string;
  readonly loaded: LoadedBenchmark;
  /** What this run asks, shards of it included. */
  readonly items: readonly EvalItem[];
  readonly prompt: EvalPrompt;
  readonly facts: readonly DataFileFacts[];
  readonly published: boolean;
  readonly partial: boolean;
  /** What must be said of the data. */
  readonly dataNotes: readonly string[];
}

/** How answers become figures. */
export interface ScoreSettings {
  readonly out: string;
  readonly blind: boolean;
  readonly maxNewTokens: number;
  /** Read thinking as a part of the answer. */
  readonly keepThinking: boolean;
  readonly writeFile: (path: string, content: string) => void;
}

/** An answer that is ready to be read, or why there is none. */
type Given =
  | { readonly text: string; readonly logged: LoggedAnswer; readonly thought: boolean }
  | { readonly why: string };

function giveAnswer(logged: LoggedAnswer, keepThinking: boolean): Given {
  if (logged.unanswered !== undefined) return { why: logged.unanswered };
  const { text, found, unfinished } = cutThinking(logged.answer);
  if (!found || keepThinking) return { text: logged.answer, logged, thought: found };
  if (unfinished) return { why: 'unfinished thinking' };
  if (text === '') return { why: 'thinking alone' };
  return { text, logged, thought: true };
}

/** Answers to the same items with the pictures and, where they were asked so, with grey ones. */
interface Answered {
  readonly items: readonly EvalItem[];
  readonly seen: readonly Extract<Given, { text: string }>[];
  /** As `seen` in runs without; a question without a picture has one answer. */
  readonly blind: readonly Extract<Given, { text: string }>[];
  readonly unanswered: Unanswered | null;
}

/** Units that are answered whole. */
function answeredOf(task: Task, answers: ReadonlyMap<string, LoggedAnswer>, settings: ScoreSettings): Answered {
  const give = ({ id }: EvalItem, blind: boolean): Given =>
    giveAnswer(answers.get(answerKey(id, blind))!, settings.keepThinking);
  const reasons: Record<string, number> = {};
  const whole: { item: EvalItem; seen: Given; blind: Given }[] = [];
  let count = 0;
  let alsoLeftOut = 0;
  for (const { samples } of unitsOf(task.items)) {
    const given = samples.map((item) => {
      const seen = give(item, false);
      return { item, seen, blind: settings.blind && item.picture !== null ? give(item, true) : seen };
    });
    const failures = given.flatMap(({ seen, blind }) =>
      'why' in seen ? [seen.why] : 'why' in blind ? [`grey picture: ${blind.why}`] : [],
    );
    for (const why of failures) reasons[why] = (reasons[why] ?? 0) + 1;
    count += failures.length;
    if (failures.length === 0) whole.push(...given);
    else alsoLeftOut += given.length - failures.length;
  }
  return {
    items: whole.map(({ item }) => item),
    seen: whole.map(({ seen }) => seen) as Answered['seen'],
    blind: whole.map(({ blind }) => blind) as Answered['blind'],
    unanswered: count === 0 ? null : { count, reasons, alsoLeftOut },
  };
}

/** Figures of samples with their intervals, what these are over, and what must be said about them. */
export function withIntervals(
  benchmark: Pick<Benchmark, 'sums' | 'figures'>,
  figures: Readonly<Record<string, number>>,
  samples: readonly EvalSample[],
) {
  const units = unitsOf(samples).map(({ group, pictures, samples: unit }) => {
    return { group, pictures, sums: benchmark.sums(unit) };
  });
  const { intervals, numClusters, fewest } = bootstrapIntervals(units, benchmark.figures);
  const bounded = Object.entries(figures).map(([name, value]): [string, EvalFigure] => {
    const { low = null, high = null } = intervals.get(name) ?? {};
    return [name, { value, low, high }];
  });
  const few = `The intervals are over ${fewest} pictures in the smallest part, which makes them too narrow; from ${FEW_CLUSTERS} on they hold.`;
  const notes = intervals.size > 0 && fewest < FEW_CLUSTERS ? [few] : [];
  return { figures: Object.fromEntries(bounded), numClusters, intervalNotes: notes };
}

/** Writes the samples of a benchmark, a line each; gives the name of the file. */
export function writeSamples(
  benchmark: string,
  samples: readonly EvalSample[],
  { out, writeFile }: Pick<ScoreSettings, 'out' | 'writeFile'>,
): string {
  const name = `samples_${benchmark}.jsonl`;
  writeFile(join(out, name), samples.map((sample) => `${JSON.stringify(sample)}\n`).join(''));
  return name;
}

function scoreAnswers(task: Task, { items, seen, blind }: Answered, grey: boolean) {
  const { prompt, reader, loaded } = task;
  const given = grey ? blind : seen;
  const texts = given.map(({ text }, i) => readAnswer(prompt, text, items[i]!, reader));
  const scored = loaded.score(items, texts, reader);
  const samples = scored.items.map((score, i): EvalSample => {
    const item = items[i]!;
    const shown = seen[i]!;
    const other = blind[i]!;
    return {
      id: item.id,
      unit: item.unit,
      group: item.group,
      picture: item.picture,
      prompt: fillPrompt(prompt, item),
      answer: shown.logged.answer,
      blindAnswer: other === shown ? undefined : other.logged.answer,
      kind: item.kind,
      ...score,
    };
  });
  return { ...withIntervals(task.benchmark, scored.figures, samples), samples, notes: scored.notes ?? [] };
}

/** What a reader of the figures must know about how the answers came. */
function answerNotes(task: Task, answered: Answered, settings: ScoreSettings): readonly string[] {
  const { items, seen, unanswered } = answered;
  const { prompt } = task;
  const numThoughts = seen.filter(({ thought }) => thought).length;
  const reasons = Object.entries(unanswered?.reasons ?? {}).map(([why, count]) => `${why} (${count})`);
  const rest = unanswered === null || unanswered.alsoLeftOut === 0 ? '' : ` and ${unanswered.alsoLeftOut} beside them`;
  const thinking = settings.keepThinking ? 'was read with the answer' : 'was cut before reading';
  const sizes = items.map(({ size }) => size);
  const isAboutBoxes = prompt.coordinates !== undefined && task.benchmark.prompt === 'rec';
  return [
    ...(unanswered === null
      ? []
      : [
          `INCOMPLETE: ${unanswered.count} of ${task.items.length} questions have no answer: ${reasons.join(', ')}. They${rest} are left out of the figures; the same command asks for what no answer came for again.`,
        ]),
    ...(numThoughts > 0 ? [`${numThoughts} of ${seen.length} answers hold thinking, which ${thinking}.`] : []),
    ...(isAboutBoxes
      ? frameNotes(
          seen.map(({ text }) => unframed(prompt, text)),
          sizes as readonly PictureSize[],
          prompt.coordinates as NonNullable<EvalPrompt['coordinates']>,
        )
      : []),
  ];
}

/** Scores a benchmark whose questions were all asked, and writes its samples. */
export function scoreTask(
  task: Task,
  answers: ReadonlyMap<string, LoggedAnswer>,
  settings: ScoreSettings,
): BenchmarkResult {
  const { benchmark, reader, loaded, items, prompt, facts, published, partial } = task;
  const answered = answeredOf(task, answers, settings);
  const { unanswered, seen } = answered;
  const isEmpty = answered.items.length === 0;
  const score = (grey: boolean): ReturnType<typeof scoreAnswers> =>
    isEmpty
      ? { figures: {}, numClusters: 0, intervalNotes: [], samples: [], notes: [] }
      : scoreAnswers(task, answered, grey);
  const { figures, samples, numClusters, intervalNotes, notes } = score(false);
  const part = `A part: ${items.length} of ${loaded.items.length} questions were asked; not comparable with the whole.`;
  const subset = 'The data files hold a part of what was published.';
  return {
    benchmark: benchmark.name,
    metric: benchmark.metric,
    reader,
    count: answered.items.length,
    total: loaded.items.length,
    partial: partial || unanswered !== null,
    published: published && !partial && unanswered === null,
    figures,
    ...(settings.blind ? { blind: score(true).figures } : {}),
    numCut: seen.filter(({ logged }) => logged.finishReason === 'length').length,
    unanswered,
    thinking: { count: seen.filter(({ thought }) => thought).length, cut: !settings.keepThinking },
    clusters: numClusters,
    prompt,
    maxNewTokens: settings.maxNewTokens,
    data: facts,
    samples: writeSamples(benchmark.name, samples, settings),
    notes: [
      ...task.dataNotes,
      ...(items.length < loaded.items.length ? [part] : []),
      ...(partial && items.length === loaded.items.length ? [subset] : []),
      ...answerNotes(task, answered, settings),
      ...intervalNotes,
      ...notes,
    ],
  };
}
