/**
 * Bounds of a rendering: work, text made and depth are counted, so that a template which would run for ever, or fill the
 * memory, ends with a sentence. The bounds are far above what a chat of a million characters needs.
 */
import { fault } from './faults.js';

/** Steps of the interpreter, where a long text or list counts as many. */
const MAX_WORK = 4_000_000;
/** Characters and list entries that are made, in all. */
const MAX_MADE = 50_000_000;
/** Macros within macros, loops within loops, lists within lists. */
const MAX_DEPTH = 150;
/** Characters or entries that count as one step. */
const SIZE_OF_STEP = 16;

/** Counts what one rendering does. */
export class Meter {
  #work = 0;
  #made = 0;
  #depth = 0;

  /** Counts work over `size` characters or entries. @throws TemplateFault */
  work(size = 0): void {
    this.#work += 1 + size / SIZE_OF_STEP;
    if (this.#work > MAX_WORK) fault(`it does not end within ${MAX_WORK} steps`);
  }

  /** Counts what is about to be made; asked before the memory is. @throws TemplateFault */
  make(size: number): void {
    this.#made += size;
    if (!(this.#made <= MAX_MADE)) fault(`it makes more than ${MAX_MADE} characters or list entries`);
    this.work(size);
  }

  /** Runs `task` one level deeper. @throws TemplateFault */
  deeper<T>(task: () => T): T {
    if (++this.#depth > MAX_DEPTH) fault(`it is nested more than ${MAX_DEPTH} levels deep`);
    try {
      return task();
    } finally {
      this.#depth--;
    }
  }
}
