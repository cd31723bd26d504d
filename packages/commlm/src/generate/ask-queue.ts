/**
 * Questions that are asked at the same time, answered together: what is asked while a batch runs is the next batch. Each has
 * its own end; one that fails or is aborted leaves the others alone.
 */
import type { Answer, AnswerDelta } from './answer.js';
import { breathe } from './engine.js';
import type { AnswerEvent, ModelRuntime, OpenAnswer, Question } from './runtime.js';

/** Questions of one batch at most: each holds keys and values of its own. */
export const MAX_TOGETHER = 8;

/** A question from its call to its last event. */
class Asked {
  readonly question: Question;
  readonly stop = new AbortController();
  /** Resolves with the last event. */
  readonly ended: Promise<void>;
  /** Its batch failed as a whole, so it is tried once more without company. */
  isAlone = false;
  isShown = false;
  isOver = false;
  readonly #events: AnswerEvent[] = [];
  #wake: (() => void) | undefined;
  #end!: () => void;

  constructor(question: Question) {
    this.question = question;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  push(event: AnswerEvent): void {
    if (this.isOver) return;
    this.#events.push(event);
    if ('delta' in event) this.isShown = true;
    else {
      this.isOver = true;
      this.#end();
    }
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.push({ index: 0, error });
  }

  async next(): Promise<AnswerEvent> {
    while (this.#events.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#events.shift()!;
  }

  /** Whether both may be in one batch: they are drawn in the same way. Seeds, lengths and stops are each one's own. */
  fits({ isAlone, question }: Asked): boolean {
    const { temperature = 0, topP = 1 } = this.question.settings;
    const other = question.settings;
    return !isAlone && temperature === (other.temperature ?? 0) && topP === (other.topP ?? 1);
  }
}

/** Batches what is asked at the same time, in the order in which the questions are ready: pictures are decoded first. */
export class AskQueue {
  readonly #runtime: Pick<ModelRuntime, 'open' | 'answer'>;
  readonly #waiting: Asked[] = [];
  #isWorking = false;

  constructor(runtime: Pick<ModelRuntime, 'open' | 'answer'>) {
    this.#runtime = runtime;
  }

  /** Answers a question piece by piece. Aborting, or leaving the iteration, ends it alone and frees what it used. */
  async *ask(question: Question, signal?: AbortSignal): AsyncGenerator<AnswerDelta, Answer, void> {
    signal?.throwIfAborted();
    const asked = new Asked(question);
    const onAbort = (): void => this.#drop(asked, signal?.reason);
    signal?.addEventListener('abort', onAbort);
    this.#waiting.push(asked);
    void this.#work();
    try {
      for (;;) {
        const event = await asked.next();
        if ('answer' in event) return event.answer;
        if ('error' in event) throw event.error;
        yield event.delta;
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
      if (!asked.isOver) this.#drop(asked, undefined);
      await asked.ended;
    }
  }

  /** Ends a question: at once while it waits, else with the next token. */
  #drop(asked: Asked, reason: unknown): void {
    asked.stop.abort(reason);
    const place = this.#waiting.indexOf(asked);
    if (place < 0) return;
    this.#waiting.splice(place, 1);
    asked.fail(asked.stop.signal.reason);
  }

  async #work(): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    // What is asked in the same turn comes together.
    await breathe();
    while (this.#waiting.length > 0) await this.#answer(this.#nextGroup());
    this.#isWorking = false;
  }

  /** The first that waits, and those that may go with it. */
  #nextGroup(): Asked[] {
    const [first, ...rest] = this.#waiting as [Asked, ...Asked[]];
    const company = first.isAlone ? [] : rest.filter((asked) => first.fits(asked)).slice(0, MAX_TOGETHER - 1);
    const group = [first, ...company];
    for (const asked of group) this.#waiting.splice(this.#waiting.indexOf(asked), 1);
    return group;
  }

  /** Answers a group; never throws. */
  async #answer(group: readonly Asked[]): Promise<void> {
    const open: { asked: Asked; answer: OpenAnswer }[] = [];
    for (const asked of group) {
      // Encoding pictures takes long: timers and aborts come in between.
      if (open.length > 0) await breathe();
      const { signal } = asked.stop;
      try {
        signal.throwIfAborted();
        open.push({ asked, answer: this.#runtime.open({ ...asked.question, signal }) });
      } catch (error) {
        asked.fail(error);
      }
    }
    try {
      const events = this.#runtime.answer(open.map(({ answer }) => answer));
      for await (const event of events) open[event.index]!.asked.push(event);
    } catch (error) {
      const failed = open.map(({ asked }) => asked).filter(({ isOver }) => !isOver);
      // Together they may have been too much for the memory; what was shown already cannot be taken back.
      const again = failed.filter((asked) => group.length > 1 && !asked.isShown && !asked.stop.signal.aborted);
      for (const asked of again) asked.isAlone = true;
      this.#waiting.unshift(...again);
      for (const asked of failed) if (!again.includes(asked)) asked.fail(error);
    }
  }
}
