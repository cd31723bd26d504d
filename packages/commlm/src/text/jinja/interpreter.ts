/** Runs a parsed template over its variables. */
import { bind } from './arguments.js';
import type { CallArguments, Comparison, Expression, Operator, Signature, Statement, Target } from './ast.js';
import { fault } from './faults.js';
import { FILTERS } from './filters.js';
import { formatPercent } from './format.js';
import type { Meter } from './meter.js';
import { getAttribute, getItem, slice } from './methods.js';
import * as numbers from './numbers.js';
import type { Runtime } from './runtime.js';
import { TESTS } from './tests.js';
import {
  type Arguments,
  asNumber,
  Callable,
  compare,
  contains,
  Dict,
  equal,
  isList,
  isTrue,
  iterate,
  LoopVariable,
  Namespace,
  NONE,
  requireDefined,
  Tuple,
  toText,
  typeName,
  Undefined,
  type Value,
} from './values.js';

/** Names and their values, within those of another scope. */
export class Scope {
  readonly #own = new Map<string, Value>();

  readonly outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.outer = outer;
  }

  get(name: string): Value | undefined {
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.outer) {
      const value = scope.#own.get(name);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  set(name: string, value: Value): void {
    this.#own.set(name, value);
  }
}

/** How a run of statements ended. */
type Ending = 'break' | 'continue' | undefined;

/** Collects what is printed. */
interface Output {
  readonly parts: string[];
}

export class Interpreter implements Runtime {
  readonly meter: Meter;

  constructor(meter: Meter) {
    this.meter = meter;
  }

  /** The text of the statements. @throws TemplateFault */
  render(statements: readonly Statement[], scope: Scope): string {
    const output: Output = { parts: [] };
    this.#run(statements, scope, output);
    return output.parts.join('');
  }

  filter(name: string, input: Value, args: Arguments): Value {
    this.meter.work(typeof input === 'string' || isList(input) ? input.length : 0);
    const filter = FILTERS.get(name) ?? fault(`the filter ${name} is not known here`);
    return filter(input, args, this);
  }

  test(name: string, input: Value, args: Arguments): boolean {
    this.meter.work();
    const test = TESTS.get(name) ?? fault(`the test ${name} is not known here`);
    return test(input, args, this);
  }

  #run(statements: readonly Statement[], scope: Scope, output: Output): Ending {
    for (const statement of statements) {
      const ending = this.#statement(statement, scope, output);
      if (ending !== undefined) return ending;
    }
    return undefined;
  }

  #print(text: string, output: Output): void {
    this.meter.make(text.length);
    output.parts.push(text);
  }

  #statement(statement: Statement, scope: Scope, output: Output): Ending {
    this.meter.work();
    switch (statement.type) {
      case 'text':
        this.#print(statement.text, output);
        return undefined;
      case 'print':
        this.#print(toText(this.#evaluate(statement.value, scope), this.meter), output);
        return undefined;
      case 'if':
        return this.#run(
          isTrue(this.#evaluate(statement.test, scope)) ? statement.whenTrue : statement.otherwise,
          scope,
          output,
        );
      case 'for':
        return this.meter.deeper(() =>
          this.#for(statement, this.#evaluate(statement.iterable, scope), scope, output, 0),
        );
      case 'set':
        this.#assign(statement.target, this.#evaluate(statement.value, scope), scope);
        return undefined;
      case 'setBlock': {
        const text = this.render(statement.body, new Scope(scope));
        const value = statement.filter === undefined ? text : this.#filtered(statement.filter, text, scope);
        this.#assign(statement.target, value, scope);
        return undefined;
      }
      case 'macro':
        scope.set(statement.macro.name, this.#macro(statement.macro, scope));
        return undefined;
      case 'callBlock':
        this.#callBlock(statement.call, statement.caller, scope, output);
        return undefined;
      case 'filterBlock': {
        const text = this.render(statement.body, new Scope(scope));
        this.#print(toText(this.#filtered(statement.filter, text, scope), this.meter), output);
        return undefined;
      }
      case 'with': {
        const inner = new Scope(scope);
        const values = statement.bindings.map(([, value]) => this.#evaluate(value, scope));
        statement.bindings.forEach(([target], i) => {
          this.#assign(target, values[i]!, inner);
        });
        return this.#run(statement.body, inner, output);
      }
      case 'generation':
        this.#print(this.render(statement.body, new Scope(scope)), output);
        return undefined;
      default:
        return statement.type;
    }
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    if (target.type === 'name') scope.set(target.name, value);
    else if (target.type === 'field') {
      const namespace = scope.get(target.namespace);
      if (namespace instanceof Namespace) namespace.fields.set(checkedField(target.field), value);
      else fault('cannot assign attribute on non-namespace object');
    } else {
      const values = iterate(value, this.meter);
      if (values.length !== target.items.length)
        fault(`it takes ${values.length} values apart into ${target.items.length} names`);
      target.items.forEach((item, i) => {
        this.#assign(item, values[i]!, scope);
      });
    }
  }

  #for(statement: Statement & { type: 'for' }, iterable: Value, scope: Scope, output: Output, depth: number): Ending {
    requireIterable(iterable);
    let entries = iterate(iterable, this.meter);
    const { filter } = statement;
    if (filter !== undefined) {
      entries = entries.filter((entry) => {
        const inner = new Scope(scope);
        this.#assign(statement.target, entry, inner);
        return isTrue(this.#evaluate(filter, inner));
      });
    }
    const loop = new Loop(entries, depth, this.meter);
    const variable = new LoopVariable(
      (name) => loop.field(name),
      (args) => {
        if (!statement.recursive) fault('it calls a loop that is not recursive');
        const [inner = NONE] = bind('loop', args, ['iterable']);
        const inside: Output = { parts: [] };
        this.meter.deeper(() => this.#for(statement, inner, scope, inside, depth + 1));
        return inside.parts.join('');
      },
    );
    for (let index = 0; index < entries.length; index++) {
      this.meter.work();
      const inner = new Scope(scope);
      loop.index = index;
      inner.set('loop', variable);
      this.#assign(statement.target, entries[index]!, inner);
      if (this.#run(statement.body, inner, output) === 'break') break;
    }
    return entries.length === 0 ? this.#run(statement.otherwise, new Scope(scope), output) : undefined;
  }

  #macro({ name, parameters, body, uses }: Signature, scope: Scope): Callable {
    return new Callable(name, ({ positional, named }) =>
      this.meter.deeper(() => {
        const inner = new Scope(scope);
        const rest = new Map(named);
        const caller = rest.get('caller');
        rest.delete('caller');
        for (const [i, { name: parameter, fallback }] of parameters.entries()) {
          const given = positional[i] ?? rest.get(parameter);
          if (positional[i] !== undefined && rest.has(parameter)) fault(`the macro ${name} gets ${parameter} twice`);
          rest.delete(parameter);
          inner.set(
            parameter,
            given ??
              (fallback === undefined
                ? new Undefined(`parameter '${parameter}' was not provided`)
                : this.#evaluate(fallback, inner)),
          );
        }
        const more = positional.slice(parameters.length);
        if (uses.has('varargs')) inner.set('varargs', new Tuple(more));
        else if (more.length > 0) fault(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
        if (uses.has('kwargs')) inner.set('kwargs', Dict.of(rest));
        else if (rest.size > 0) fault(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`);
        if (uses.has('caller')) inner.set('caller', caller ?? new Undefined('No caller defined'));
        else if (caller !== undefined)
          fault(`macro '${name}' was invoked with two values for the special caller argument.`);
        return this.render(body, inner);
      }),
    );
  }

  #callBlock(call: Expression, signature: Signature, scope: Scope, output: Output): void {
    if (call.type !== 'call') return;
    const args = this.#arguments(call.args, scope);
    const named = new Map(args.named).set('caller', this.#macro(signature, scope));
    const value = this.#call(this.#evaluate(call.callee, scope), { ...args, named });
    this.#print(toText(value, this.meter), output);
  }

  /** A chain of filters over a text of a block. */
  #filtered(filter: Expression, text: string, scope: Scope): Value {
    if (filter.type !== 'filter') return text;
    const input = filter.input === undefined ? text : this.#filtered(filter.input, text, scope);
    return this.filter(filter.name, input, this.#arguments(filter.args, scope));
  }

  #call(callee: Value, args: Arguments): Value {
    requireDefined(callee);
    this.meter.work();
    return callee instanceof Callable ? callee.call(args) : fault(`'${typeName(callee)}' object is not callable`);
  }

  #arguments(args: CallArguments, scope: Scope): Arguments {
    const positional = args.positional.map((argument) => this.#evaluate(argument, scope));
    const named = new Map(args.named.map(([name, argument]) => [name, this.#evaluate(argument, scope)]));
    if (args.list !== undefined) positional.push(...iterate(this.#evaluate(args.list, scope), this.meter));
    if (args.table !== undefined) {
      const table = this.#evaluate(args.table, scope);
      if (!(table instanceof Dict)) return fault('what stands behind ** is no dictionary');
      for (const [name, value] of table.entries()) {
        if (typeof name !== 'string') fault('keywords must be strings');
        if (named.has(name as string)) fault(`a call gets ${String(name)} twice`);
        named.set(name as string, value);
      }
    }
    return { positional, named };
  }

  #evaluate(expression: Expression, scope: Scope): Value {
    this.meter.work();
    switch (expression.type) {
      case 'constant':
        return expression.value;
      case 'name':
        return scope.get(expression.name) ?? new Undefined(`'${expression.name}' is undefined`);
      case 'list':
        return this.#all(expression.items, scope);
      case 'tuple':
        return new Tuple(this.#all(expression.items, scope));
      case 'dict':
        return Dict.of(
          expression.entries.map(([key, value]) => [this.#evaluate(key, scope), this.#evaluate(value, scope)] as const),
        );
      case 'condition':
        if (isTrue(this.#evaluate(expression.test, scope))) return this.#evaluate(expression.whenTrue, scope);
        return expression.otherwise === undefined
          ? new Undefined('the inline if-expression evaluated to false and no else section was defined')
          : this.#evaluate(expression.otherwise, scope);
      case 'and':
      case 'or': {
        const left = this.#evaluate(expression.left, scope);
        return isTrue(left) === (expression.type === 'or') ? left : this.#evaluate(expression.right, scope);
      }
      case 'not':
        return !isTrue(this.#evaluate(expression.operand, scope));
      case 'negative':
      case 'positive':
        return this.#signed(expression.type, this.#evaluate(expression.operand, scope));
      case 'compare':
        return this.#compared(expression.first, expression.rest, scope);
      case 'concat': {
        const parts = expression.items.map((item) => toText(this.#evaluate(item, scope), this.meter));
        this.meter.make(parts.reduce((sum, part) => sum + part.length, 0));
        return parts.join('');
      }
      case 'binary':
        return this.#binary(
          expression.operator,
          this.#evaluate(expression.left, scope),
          this.#evaluate(expression.right, scope),
        );
      case 'attribute':
        return getAttribute(this.#evaluate(expression.object, scope), expression.name, this.meter);
      case 'item':
        return getItem(this.#evaluate(expression.object, scope), this.#evaluate(expression.key, scope), this.meter);
      case 'slice': {
        const object = this.#evaluate(expression.object, scope);
        return slice(
          object,
          expression.bounds.map((bound) => bound && this.#evaluate(bound, scope)),
          this.meter,
        );
      }
      case 'call':
        return this.#call(this.#evaluate(expression.callee, scope), this.#arguments(expression.args, scope));
      case 'filter': {
        if (expression.input === undefined) return fault('a filter has no input');
        const input = this.#evaluate(expression.input, scope);
        return this.filter(expression.name, input, this.#arguments(expression.args, scope));
      }
      case 'test': {
        const input = this.#evaluate(expression.input, scope);
        return this.test(expression.name, input, this.#arguments(expression.args, scope)) !== expression.negated;
      }
    }
  }

  #all(items: readonly Expression[], scope: Scope): Value[] {
    this.meter.make(items.length);
    return items.map((item) => this.#evaluate(item, scope));
  }

  #signed(sign: 'negative' | 'positive', value: Value): Value {
    requireDefined(value);
    const number = asNumber(value);
    if (number === undefined)
      return fault(`bad operand type for unary ${sign === 'negative' ? '-' : '+'}: '${typeName(value)}'`);
    return sign === 'negative' ? -number : number;
  }

  /** A chain holds if all its pairs do; it stops at the first that does not. */
  #compared(first: Expression, rest: readonly (readonly [Comparison, Expression])[], scope: Scope): boolean {
    let left = this.#evaluate(first, scope);
    for (const [sign, operand] of rest) {
      const right = this.#evaluate(operand, scope);
      if (!this.#holds(sign, left, right)) return false;
      left = right;
    }
    return true;
  }

  #holds(sign: Comparison, left: Value, right: Value): boolean {
    switch (sign) {
      case '==':
        return equal(left, right, this.meter);
      case '!=':
        return !equal(left, right, this.meter);
      case 'in':
        return contains(right, left, this.meter);
      case 'not in':
        return !contains(right, left, this.meter);
      case '<':
        return compare(left, right, sign, this.meter) < 0;
      case '<=':
        return compare(left, right, sign, this.meter) <= 0;
      case '>':
        return compare(left, right, sign, this.meter) > 0;
      default:
        return compare(left, right, sign, this.meter) >= 0;
    }
  }

  #binary(operator: Operator, left: Value, right: Value): Value {
    requireDefined(left);
    requireDefined(right);
    if (operator === '%' && typeof left === 'string') return formatPercent(left, right, this.meter);
    const [a, b] = [asNumber(left), asNumber(right)];
    if (a !== undefined && b !== undefined) return this.#calculated(operator, a, b);
    if (operator === '+') return this.#joined(left, right);
    if (operator === '*' && a !== undefined) return this.#repeated(right, left);
    if (operator === '*' && b !== undefined) return this.#repeated(left, right);
    return fault(`unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`);
  }

  #calculated(operator: Operator, a: bigint | number, b: bigint | number): Value {
    switch (operator) {
      case '+':
        return numbers.add(a, b);
      case '-':
        return numbers.subtract(a, b);
      case '*':
        return numbers.multiply(a, b);
      case '/':
        return numbers.divide(a, b);
      case '//':
        return numbers.floorDivide(a, b);
      case '%':
        return numbers.modulo(a, b);
      default:
        return numbers.power(a, b, this.meter);
    }
  }

  #joined(left: Value, right: Value): Value {
    if (typeof left === 'string' && typeof right === 'string') {
      this.meter.make(left.length + right.length);
      return left + right;
    }
    const [a, b] = [listOf(left), listOf(right)];
    if (a === undefined || b === undefined || isList(left) !== isList(right))
      return fault(`unsupported operand type(s) for +: '${typeName(left)}' and '${typeName(right)}'`);
    this.meter.make(a.length + b.length);
    return isList(left) ? [...a, ...b] : new Tuple([...a, ...b]);
  }

  #repeated(value: Value, times: Value): Value {
    const items = typeof value === 'string' ? value : listOf(value);
    if (items === undefined || typeof times === 'number')
      return fault(`unsupported operand type(s) for *: '${typeName(value)}' and '${typeName(times)}'`);
    const count = times === true ? 1 : Number(times);
    if (count <= 0 || items.length === 0) return typeof value === 'string' ? '' : isList(value) ? [] : new Tuple([]);
    this.meter.make(items.length * count);
    if (typeof items === 'string') return items.repeat(count);
    const all: Value[] = [];
    for (let time = 0; time < count; time++) for (const item of items) all.push(item);
    return isList(value) ? all : new Tuple(all);
  }
}

const listOf = (value: Value): readonly Value[] | undefined =>
  isList(value) ? value : value instanceof Tuple ? value.items : undefined;

function requireIterable(value: Value): void {
  if (value === NONE) fault("'NoneType' object is not iterable");
}

/** A field of a namespace. @throws TemplateFault for a name of Python's insides */
export function checkedField(name: string): string {
  return name.startsWith('__') ? fault(`a namespace cannot hold ${name}`) : name;
}

/** What `loop` tells about a loop. */
class Loop {
  /** The entry that the loop is at. */
  index = 0;
  readonly #entries: readonly Value[];
  readonly #depth: number;
  readonly #meter: Meter;
  #changed: Value | undefined;

  constructor(entries: readonly Value[], depth: number, meter: Meter) {
    this.#entries = entries;
    this.#depth = depth;
    this.#meter = meter;
  }

  field(name: string): Value | undefined {
    const [index, { length }] = [this.index, this.#entries];
    switch (name) {
      case 'index':
        return BigInt(index + 1);
      case 'index0':
        return BigInt(index);
      case 'revindex':
        return BigInt(length - index);
      case 'revindex0':
        return BigInt(length - index - 1);
      case 'first':
        return index === 0;
      case 'last':
        return index === length - 1;
      case 'length':
        return BigInt(length);
      case 'depth':
        return BigInt(this.#depth + 1);
      case 'depth0':
        return BigInt(this.#depth);
      case 'previtem':
        return this.#entries[index - 1] ?? new Undefined('there is no previous item');
      case 'nextitem':
        return this.#entries[index + 1] ?? new Undefined('there is no next item');
      case 'cycle':
        return new Callable(
          'cycle',
          ({ positional }) => positional[index % positional.length] ?? fault('no items for cycling given'),
        );
      case 'changed':
        return new Callable('changed', ({ positional }) => this.#isChanged(new Tuple(positional)));
      default:
        return undefined;
    }
  }

  #isChanged(value: Value): boolean {
    const before = this.#changed;
    this.#changed = value;
    return before === undefined || !equal(before, value, this.#meter);
  }
}
