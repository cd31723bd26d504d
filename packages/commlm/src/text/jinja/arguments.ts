/** Arguments of functions, methods and filters that are written in TypeScript. */
import { fault } from './faults.js';
import { type Arguments, typeName, Undefined, type Value } from './values.js';

/** The values of the parameters in their order; absent ones are undefined. @throws TemplateFault for one too many */
export function bind(what: string, args: Arguments, names: readonly string[]): (Value | undefined)[] {
  if (args.positional.length > names.length) fault(`${what} takes at most ${names.length} arguments`);
  const values: (Value | undefined)[] = names.map((name, i) => args.positional[i] ?? args.named.get(name));
  for (const name of args.named.keys()) {
    const place = names.indexOf(name);
    if (place < 0) fault(`${what} has no parameter ${name}`);
    if (place < args.positional.length) fault(`${what} gets ${name} twice`);
  }
  return values;
}

export function asText(value: Value | undefined, what: string): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) fault(value.why);
  return fault(`${what} needs a text, not ${value === undefined ? 'nothing' : typeName(value)}`);
}

/** A whole number that JavaScript can count with; far off ones are as good as at the end. */
export function asCount(value: Value | undefined, what: string): number {
  const whole = typeof value === 'boolean' ? BigInt(value) : value;
  if (typeof whole !== 'bigint') {
    if (value instanceof Undefined) fault(value.why);
    return fault(`${what} needs a whole number`);
  }
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(whole > limit ? limit : whole < -limit ? -limit : whole);
}
