/** The tests of templates, what stands behind `is`. */
import { bind } from './arguments.js';
import { fault } from './faults.js';
import { FILTERS } from './filters.js';
import { modulo } from './numbers.js';
import type { Operation } from './runtime.js';
import {
  type Arguments,
  asNumber,
  Callable,
  compare,
  contains,
  Dict,
  entriesOf,
  equal,
  NONE,
  requireDefined,
  Stream,
  toText,
  typeName,
  Undefined,
  type Value,
} from './values.js';

type Test = Operation<boolean>;

const other = (args: Arguments): Value =>
  bind('a test', args, ['other'])[0] ?? fault('a test lacks what it compares with');

const ordered =
  (sign: string, holds: (order: number) => boolean): Test =>
  (input, args, { meter }) =>
    holds(compare(input, other(args), sign, meter));

const isEqual: Test = (input, args, { meter }) => equal(input, other(args), meter);
const isDifferent: Test = (input, args, { meter }) => !equal(input, other(args), meter);
const less = ordered('<', (order) => order < 0);
const atMost = ordered('<=', (order) => order <= 0);
const greater = ordered('>', (order) => order > 0);
const atLeast = ordered('>=', (order) => order >= 0);

function whole(value: Value): bigint | number {
  requireDefined(value);
  return asNumber(value) ?? fault(`a test needs a number, not ${typeName(value)}`);
}

/** Nothing but these one values is the same object as itself here. */
function isSame(a: Value, b: Value): boolean {
  if (a === NONE || typeof a === 'boolean' || b === NONE || typeof b === 'boolean') return a === b;
  return a === b || fault('the test sameas compares places in memory');
}

/** All tests by their names. */
export const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  ['defined', (input) => !(input instanceof Undefined)],
  ['undefined', (input) => input instanceof Undefined],
  ['none', (input) => input === NONE],
  ['boolean', (input) => typeof input === 'boolean'],
  ['true', (input) => input === true],
  ['false', (input) => input === false],
  ['integer', (input) => typeof input === 'bigint'],
  ['float', (input) => typeof input === 'number'],
  ['number', (input) => asNumber(input) !== undefined],
  ['string', (input) => typeof input === 'string'],
  ['mapping', (input) => input instanceof Dict],
  ['iterable', (input, _, { meter }) => input instanceof Stream || entriesOf(input, meter) !== undefined],
  [
    'sequence',
    (input, _, { meter }) =>
      !(input instanceof Stream) &&
      !['dict_items', 'dict_keys', 'dict_values'].includes(typeName(input)) &&
      entriesOf(input, meter) !== undefined,
  ],
  // What is undefined can be called, and fails then.
  ['callable', (input) => input instanceof Callable || input instanceof Undefined],
  ['sameas', (input, args) => isSame(input, other(args))],
  ['in', (input, args, { meter }) => contains(other(args), input, meter)],
  ['even', (input) => Number(modulo(whole(input), 2n)) === 0],
  ['odd', (input) => Number(modulo(whole(input), 2n)) === 1],
  ['divisibleby', (input, args) => Number(modulo(whole(input), whole(other(args)))) === 0],
  ['lower', (input, _, { meter }) => isCase(toText(input, meter), /\p{Lowercase}/u, /[\p{Uppercase}\p{Lt}]/u)],
  ['upper', (input, _, { meter }) => isCase(toText(input, meter), /\p{Uppercase}/u, /[\p{Lowercase}\p{Lt}]/u)],
  ['filter', (input) => typeof input === 'string' && FILTERS.has(input)],
  ['test', (input) => typeof input === 'string' && TESTS.has(input)],
  ...(['eq', 'equalto', '=='] as const).map((name): [string, Test] => [name, isEqual]),
  ...(['ne', '!='] as const).map((name): [string, Test] => [name, isDifferent]),
  ...(['lt', 'lessthan', '<'] as const).map((name): [string, Test] => [name, less]),
  ...(['le', '<='] as const).map((name): [string, Test] => [name, atMost]),
  ...(['gt', 'greaterthan', '>'] as const).map((name): [string, Test] => [name, greater]),
  ...(['ge', '>='] as const).map((name): [string, Test] => [name, atLeast]),
]);

const isCase = (text: string, wanted: RegExp, unwanted: RegExp): boolean => wanted.test(text) && !unwanted.test(text);
