/**
 * Jinja templates of chats, in the dialect and with the settings of the transformers library: Python's values and methods,
 * loop controls, `tojson` without HTML escapes, `raise_exception`, `strftime_now`, `{% generation %}`, nothing that changes
 * a value in place. A template either gives what the reference gives, or is refused with a sentence.
 */
import { asCount, asText, bind } from './arguments.js';
import type { Statement } from './ast.js';
import { fault, TemplateFault } from './faults.js';
import { formatTime } from './format.js';
import { checkedField, Interpreter, Scope } from './interpreter.js';
import { Meter } from './meter.js';
import { parseTemplate } from './parser.js';
import { type Arguments, Callable, Dict, fromHost, iterate, Namespace, Range, type Value } from './values.js';

export { TemplateFault } from './faults.js';

/** The largest range of the reference's sandbox. */
const MAX_RANGE = 100_000;
/** The longest source that is read. */
const MAX_SOURCE = 1_000_000;

/** A parsed template. */
export class Template {
  readonly #statements: readonly Statement[];

  /** @throws TemplateFault */
  constructor(source: string) {
    if (source.length > MAX_SOURCE) fault(`it has more than ${MAX_SOURCE} characters`);
    this.#statements = guarded(() => parseTemplate(source));
  }

  /** The text for variables of plain data; `now` is the time that it may write. @throws TemplateFault */
  render(variables: Readonly<Record<string, unknown>>, now: () => Date = () => new Date()): string {
    return guarded(() => {
      const meter = new Meter();
      const globals = new Scope();
      for (const [name, value] of globalsOf(meter, now)) globals.set(name, value);
      const scope = new Scope(globals);
      for (const [name, value] of Object.entries(variables)) {
        if (value !== undefined) scope.set(name, fromHost(value, meter));
      }
      return new Interpreter(meter).render(this.#statements, scope);
    });
  }
}

/** The engine's own stack may be smaller than the bounds on depth allow for. */
function guarded<T>(task: () => T): T {
  try {
    return task();
  } catch (error) {
    if (error instanceof RangeError) throw new TemplateFault('it is nested too deeply');
    throw error;
  }
}

function globalsOf(meter: Meter, now: () => Date): [string, Value][] {
  const functions: Readonly<Record<string, (args: Arguments) => Value>> = {
    range: (args) => range(args, meter),
    dict: (args) => dictOf(args, meter),
    namespace(args) {
      const namespace = new Namespace();
      for (const [key, value] of dictOf(args, meter).entries())
        namespace.fields.set(checkedField(asText(key, 'namespace')), value);
      return namespace;
    },
    raise_exception: (args) => fault(asText(bind('raise_exception', args, ['message'])[0], 'raise_exception')),
    strftime_now: (args) => formatTime(now(), asText(bind('strftime_now', args, ['format'])[0], 'strftime_now')),
    ...Object.fromEntries(
      ['lipsum', 'cycler', 'joiner'].map((name) => [name, () => fault(`the function ${name} is not known here`)]),
    ),
  };
  return Object.entries(functions).map(([name, call]) => [name, new Callable(name, call)]);
}

function range(args: Arguments, meter: Meter): Value {
  const numbers = args.positional.map((value) => asCount(value, 'range'));
  if (args.named.size > 0 || numbers.length === 0 || numbers.length > 3)
    fault('range takes one to three whole numbers');
  const [start, stop, step] = numbers.length === 1 ? [0, numbers[0]!, 1] : [numbers[0]!, numbers[1]!, numbers[2] ?? 1];
  if (step === 0) fault('range() arg 3 must not be zero');
  const length = Range.lengthOf(start, stop, step);
  if (length > MAX_RANGE) fault(`a range has more than ${MAX_RANGE} numbers`);
  meter.make(length);
  return new Range(start, stop, step);
}

function dictOf({ positional, named }: Arguments, meter: Meter): Dict {
  if (positional.length > 1) fault('dict takes at most one argument');
  const [source] = positional;
  const dict = new Dict();
  const pairs =
    source === undefined
      ? []
      : source instanceof Dict
        ? source.entries()
        : iterate(source, meter).map((pair) => iterate(pair, meter));
  for (const pair of pairs) {
    if (pair.length !== 2) fault('dict takes pairs of keys and values');
    dict.set(pair[0]!, pair[1]!);
  }
  for (const [name, value] of named) dict.set(name, value);
  return dict;
}
