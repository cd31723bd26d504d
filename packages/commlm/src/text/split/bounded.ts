/**
 * Regular expressions under a time limit. A pattern can need longer than the world lasts for a short text, and while it
 * runs no signal is handled; the engine of JavaScript can be stopped only from the outside, by a watchdog of `node:vm`.
 */
import { createContext, Script } from 'node:vm';
import { CommError } from '../../config/errors.js';
import type { Pattern } from './pattern.js';

/** A text up to this length cannot make a plain pattern slow: quadratic and cubic time are short here. */
const SHORT_TEXT = 1000;
/** Milliseconds for a text, and for each of its characters; thousands of times what sound patterns take. */
const LIMIT_MS = 2000;
const LIMIT_MS_EACH = 0.005;

const slot: { task?: () => unknown } = {};
const context = createContext(slot);
const script = new Script('task()');

/** Runs `task`, which applies the patterns to the text. @throws CommError `text/pattern-time` */
export function withinTime<T>(patterns: readonly Pattern[], text: string, task: () => T): T {
  if (patterns.length === 0 || (text.length <= SHORT_TEXT && patterns.every(({ plain }) => plain))) return task();
  const limit = Math.round(LIMIT_MS + LIMIT_MS_EACH * text.length);
  slot.task = task;
  try {
    return script.runInContext(context, { timeout: limit }) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new CommError(
      `A pattern of tokenizer.json takes more than ${limit / 1000} s for a text of ${text.length} characters.`,
      {
        code: 'text/pattern-time',
        fix: 'Use a model whose tokenizer has patterns without repetitions inside of repetitions.',
      },
    );
  } finally {
    delete slot.task;
  }
}
