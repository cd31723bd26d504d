/** Parses a template by the grammar of the reference, whose precedences differ from Python's in places. */
import type { CallArguments, Comparison, Expression, Operator, Signature, Statement, Target } from './ast.js';
import { fault } from './faults.js';
import { FILTERS } from './filters.js';
import { type Token, tokenize } from './lexer.js';
import { unescapePython } from './python-text.js';
import { TESTS } from './tests.js';
import { NONE, type Value } from './values.js';

const CONSTANTS: Readonly<Record<string, Value>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: NONE,
  None: NONE,
};
/** Names that macros and call blocks may speak of without having them as parameters. */
const IMPLICIT = new Set(['varargs', 'kwargs', 'caller']);
const MAX_DEPTH = 200;

/** The statements of a template. @throws TemplateFault */
export function parseTemplate(source: string): readonly Statement[] {
  return new Parser(tokenize(source)).run();
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;
  #loops = 0;
  readonly #names: Set<string>[] = [];

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  run(): Statement[] {
    return this.#statements([]);
  }

  get #token(): Token {
    return this.#tokens[this.#at]!;
  }

  #fail(why: string): never {
    return fault(`line ${this.#token.line}: ${why}`);
  }

  #is(kind: Token['kind'], value?: string, ahead = 0): boolean {
    const token = this.#tokens[this.#at + ahead];
    return token?.kind === kind && (value === undefined || token.value === value);
  }

  #skip(kind: Token['kind'], value?: string): boolean {
    if (!this.#is(kind, value)) return false;
    this.#at++;
    return true;
  }

  #expect(kind: Token['kind'], value?: string): Token {
    const token = this.#token;
    if (!this.#skip(kind, value)) {
      const found = token.kind === 'end' ? 'the end of the template' : JSON.stringify(token.value);
      this.#fail(`expected ${value ?? kind}, found ${found}`);
    }
    return token;
  }

  #deeper<T>(task: () => T): T {
    if (++this.#depth > MAX_DEPTH) this.#fail(`it is nested more than ${MAX_DEPTH} levels deep`);
    const result = task();
    this.#depth--;
    return result;
  }

  /** Statements up to a block tag of one of the names, which is left standing behind its `{%`. */
  #statements(ends: readonly string[]): Statement[] {
    return this.#deeper(() => {
      const statements: Statement[] = [];
      for (;;) {
        if (this.#is('text')) {
          statements.push({ type: 'text', text: this.#expect('text').value });
        } else if (this.#skip('print')) {
          statements.push({ type: 'print', value: this.#tuple() });
          this.#expect('endPrint');
        } else if (this.#skip('block')) {
          if (this.#token.kind === 'name' && ends.includes(this.#token.value)) return statements;
          statements.push(this.#block());
        } else {
          if (ends.length > 0) this.#fail(`a block has no ${ends.at(-1)}`);
          this.#expect('end');
          return statements;
        }
      }
    });
  }

  /** Statements with the tag that ends them. */
  #body(end: string): Statement[] {
    this.#expect('endBlock');
    const body = this.#statements([end]);
    this.#expect('name', end);
    this.#expect('endBlock');
    return body;
  }

  #block(): Statement {
    const { value: tag } = this.#expect('name');
    switch (tag) {
      case 'for':
        return this.#for();
      case 'if':
        return this.#if();
      case 'set':
        return this.#set();
      case 'macro':
        return { type: 'macro', macro: this.#signature(this.#expect('name').value, 'endmacro') };
      case 'call':
        return this.#callBlock();
      case 'filter': {
        const filter = this.#filters(undefined, true) as Expression;
        return { type: 'filterBlock', filter, body: this.#body('endfilter') };
      }
      case 'with':
        return this.#with();
      case 'generation':
        return { type: 'generation', body: this.#body('endgeneration') };
      case 'break':
      case 'continue':
        if (this.#loops === 0) this.#fail(`${tag} stands outside of a loop`);
        this.#expect('endBlock');
        return { type: tag };
      default:
        return this.#fail(`the tag {% ${tag} %} is not known here`);
    }
  }

  #for(): Statement {
    const target = this.#target(['in']);
    this.#expect('name', 'in');
    const iterable = this.#tuple({ condition: false, ends: ['recursive'] });
    const filter = this.#skip('name', 'if') ? this.#expression() : undefined;
    const recursive = this.#skip('name', 'recursive');
    this.#expect('endBlock');
    this.#loops++;
    const body = this.#statements(['else', 'endfor']);
    this.#loops--;
    let otherwise: Statement[] = [];
    if (this.#skip('name', 'else')) otherwise = this.#body('endfor');
    else {
      this.#expect('name', 'endfor');
      this.#expect('endBlock');
    }
    return { type: 'for', target, iterable, recursive, body, otherwise, filter };
  }

  #if(): Statement {
    const test = this.#tuple({ condition: false });
    this.#expect('endBlock');
    const whenTrue = this.#statements(['elif', 'else', 'endif']);
    let otherwise: Statement[] = [];
    if (this.#skip('name', 'elif')) otherwise = [this.#deeper(() => this.#if())];
    else if (this.#skip('name', 'else')) otherwise = this.#body('endif');
    else {
      this.#expect('name', 'endif');
      this.#expect('endBlock');
    }
    return { type: 'if', test, whenTrue, otherwise };
  }

  #set(): Statement {
    const target = this.#target([]);
    if (this.#skip('operator', '=')) {
      const value = this.#tuple();
      this.#expect('endBlock');
      return { type: 'set', target, value };
    }
    const filter = this.#filters(undefined);
    return { type: 'setBlock', target, body: this.#body('endset'), filter };
  }

  #callBlock(): Statement {
    const signature = this.#is('operator', '(') ? this.#parameters() : [];
    const call = this.#expression();
    if (call.type !== 'call') this.#fail('a call block calls nothing');
    return { type: 'callBlock', call, caller: this.#macroBody('caller', signature, 'endcall') };
  }

  #with(): Statement {
    const bindings: [Target, Expression][] = [];
    while (!this.#is('endBlock')) {
      if (bindings.length > 0) this.#expect('operator', ',');
      const target = this.#target(['=']);
      this.#expect('operator', '=');
      bindings.push([target, this.#expression()]);
    }
    return { type: 'with', bindings, body: this.#body('endwith') };
  }

  #signature(name: string, end: string): Signature {
    return this.#macroBody(name, this.#parameters(), end);
  }

  #parameters(): Signature['parameters'] {
    this.#expect('operator', '(');
    const parameters: { name: string; fallback?: Expression }[] = [];
    while (!this.#skip('operator', ')')) {
      if (parameters.length > 0) this.#expect('operator', ',');
      const { value: name } = this.#expect('name');
      if (this.#skip('operator', '=')) parameters.push({ name, fallback: this.#expression() });
      else if (parameters.at(-1)?.fallback !== undefined) this.#fail('a parameter without a default follows one with');
      else parameters.push({ name });
    }
    return parameters;
  }

  #macroBody(name: string, parameters: Signature['parameters'], end: string): Signature {
    const uses = new Set<string>();
    this.#names.push(uses);
    const loops = this.#loops;
    this.#loops = 0;
    const body = this.#body(end);
    this.#loops = loops;
    this.#names.pop();
    for (const parameter of parameters) uses.delete(parameter.name);
    return { name, parameters, body, uses };
  }

  #target(ends: readonly string[]): Target {
    const items: Target[] = [];
    let isTuple = false;
    do {
      if (items.length > 0 && (this.#isEnd(ends) || this.#is('endBlock'))) break;
      items.push(this.#singleTarget());
      if (this.#is('operator', ',') && !ends.includes('=')) isTuple = true;
    } while (!ends.includes('=') && this.#skip('operator', ','));
    return isTuple ? { type: 'tuple', items } : items[0]!;
  }

  #isEnd(ends: readonly string[]): boolean {
    return ends.includes(this.#token.value);
  }

  #singleTarget(): Target {
    if (this.#skip('operator', '(')) {
      const items = [this.#singleTarget()];
      let isTuple = false;
      while (this.#skip('operator', ',')) {
        isTuple = true;
        if (!this.#is('operator', ')')) items.push(this.#singleTarget());
      }
      this.#expect('operator', ')');
      return isTuple ? { type: 'tuple', items } : items[0]!;
    }
    const { value: name } = this.#expect('name');
    if (Object.hasOwn(CONSTANTS, name)) this.#fail(`it sets ${name}`);
    if (!this.#skip('operator', '.')) return { type: 'name', name };
    this.#use(name);
    return { type: 'field', namespace: name, field: this.#expect('name').value };
  }

  #use(name: string): void {
    if (IMPLICIT.has(name)) this.#names.at(-1)?.add(name);
  }

  /** Expressions with commas between, as a tuple; one alone is itself. */
  #tuple({ condition = true, ends = [] as readonly string[], inBrackets = false } = {}): Expression {
    const items: Expression[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0) {
        if (!this.#skip('operator', ',')) break;
        isTuple = true;
      }
      if (this.#is('endPrint') || this.#is('endBlock') || this.#is('operator', ')')) break;
      if (this.#token.kind === 'name' && this.#isEnd(ends)) break;
      items.push(condition ? this.#expression() : this.#or());
    }
    if (items.length === 0 && !inBrackets) this.#fail('expected an expression');
    return isTuple || items.length === 0 ? { type: 'tuple', items } : items[0]!;
  }

  #expression(): Expression {
    return this.#deeper(() => {
      let expression = this.#or();
      while (this.#skip('name', 'if')) {
        const test = this.#or();
        const otherwise = this.#skip('name', 'else') ? this.#expression() : undefined;
        expression = {
          type: 'condition',
          test,
          whenTrue: expression,
          otherwise,
        };
      }
      return expression;
    });
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#skip('name', 'or')) left = { type: 'or', left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#skip('name', 'and')) left = { type: 'and', left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    if (!this.#skip('name', 'not')) return this.#compare();
    return { type: 'not', operand: this.#deeper(() => this.#not()) };
  }

  #compare(): Expression {
    const first = this.#sum();
    const rest: [Comparison, Expression][] = [];
    for (;;) {
      const { kind, value } = this.#token;
      if (kind === 'operator' && ['==', '!=', '<', '<=', '>', '>='].includes(value)) {
        this.#at++;
        rest.push([value as Comparison, this.#sum()]);
      } else if (this.#skip('name', 'in')) rest.push(['in', this.#sum()]);
      else if (this.#is('name', 'not') && this.#is('name', 'in', 1)) {
        this.#at += 2;
        rest.push(['not in', this.#sum()]);
      } else return rest.length === 0 ? first : { type: 'compare', first, rest };
    }
  }

  #sum(): Expression {
    return this.#binary(['+', '-'], () => this.#concat());
  }

  #concat(): Expression {
    const items = [this.#product()];
    while (this.#skip('operator', '~')) items.push(this.#product());
    return items.length === 1 ? items[0]! : { type: 'concat', items };
  }

  #product(): Expression {
    return this.#binary(['*', '/', '//', '%'], () => this.#binary(['**'], () => this.#unary()));
  }

  /** Operators of one precedence; all of them, powers too, take the left pair first. */
  #binary(operators: readonly Operator[], operand: () => Expression): Expression {
    let left = operand();
    while (this.#token.kind === 'operator' && operators.includes(this.#token.value as Operator)) {
      const operator = this.#expect('operator').value as Operator;
      const right = operand();
      // The reference takes the sign off such a number, unless it knows the result beforehand.
      if (operator === '**' && left.type === 'negative' && right.type !== 'constant')
        this.#fail('a negative number to a power that is not written out');
      left = { type: 'binary', operator, left, right };
    }
    return left;
  }

  #unary(withFilters = true): Expression {
    return this.#deeper(() => {
      let expression: Expression;
      if (this.#skip('operator', '-')) expression = { type: 'negative', operand: this.#unary(false) };
      else if (this.#skip('operator', '+')) expression = { type: 'positive', operand: this.#unary(false) };
      else expression = this.#primary();
      expression = this.#postfix(expression);
      return withFilters ? this.#filterChain(expression) : expression;
    });
  }

  #primary(): Expression {
    const { kind, value } = this.#token;
    if (kind === 'name') {
      this.#at++;
      if (Object.hasOwn(CONSTANTS, value)) return { type: 'constant', value: CONSTANTS[value]! };
      this.#use(value);
      return { type: 'name', name: value };
    }
    if (kind === 'string') return { type: 'constant', value: this.#strings() };
    if (kind === 'integer' || kind === 'float') {
      this.#at++;
      const digits = value.replaceAll('_', '');
      return { type: 'constant', value: kind === 'integer' ? BigInt(digits) : Number(digits) };
    }
    if (this.#skip('operator', '(')) {
      const inside = this.#tuple({ inBrackets: true });
      this.#expect('operator', ')');
      return inside;
    }
    if (this.#skip('operator', '[')) return { type: 'list', items: this.#items(']', () => this.#expression()) };
    if (this.#skip('operator', '{')) {
      const entry = (): readonly [Expression, Expression] => {
        const key = this.#expression();
        this.#expect('operator', ':');
        return [key, this.#expression()];
      };
      return { type: 'dict', entries: this.#items('}', entry) };
    }
    return this.#fail(`unexpected ${kind === 'end' ? 'end of the template' : JSON.stringify(value)}`);
  }

  /** Strings in a row are one. */
  #strings(): string {
    let text = '';
    while (this.#is('string')) text += unescapePython(this.#expect('string').value.slice(1, -1));
    return text;
  }

  #items<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.#skip('operator', close)) {
      if (items.length > 0) {
        this.#expect('operator', ',');
        if (this.#skip('operator', close)) break;
      }
      items.push(item());
    }
    return items;
  }

  #postfix(start: Expression): Expression {
    let expression = start;
    for (;;) {
      if (this.#skip('operator', '.')) expression = this.#attribute(expression);
      else if (this.#skip('operator', '[')) expression = this.#subscript(expression);
      else if (this.#is('operator', '(')) expression = { type: 'call', callee: expression, args: this.#arguments() };
      else return expression;
    }
  }

  #filterChain(start: Expression): Expression {
    let expression = start;
    for (;;) {
      if (this.#is('operator', '|')) expression = this.#filters(expression) as Expression;
      else if (this.#is('name', 'is')) expression = this.#test(expression);
      else if (this.#is('operator', '(')) expression = { type: 'call', callee: expression, args: this.#arguments() };
      else return expression;
    }
  }

  #attribute(object: Expression): Expression {
    if (this.#is('integer')) {
      return { type: 'item', object, key: { type: 'constant', value: BigInt(this.#expect('integer').value) } };
    }
    return { type: 'attribute', object, name: this.#expect('name').value };
  }

  #subscript(object: Expression): Expression {
    const bounds: (Expression | undefined)[] = [];
    let isSlice = false;
    for (;;) {
      const bound = this.#is('operator', ':') || this.#is('operator', ']') ? undefined : this.#expression();
      bounds.push(bound);
      if (!this.#skip('operator', ':')) break;
      isSlice = true;
    }
    if (this.#is('operator', ',')) {
      if (isSlice || bounds[0] === undefined) this.#fail('a slice with commas is not known here');
      const items = [bounds[0]!];
      while (this.#skip('operator', ',')) items.push(this.#expression());
      this.#expect('operator', ']');
      return { type: 'item', object, key: { type: 'tuple', items } };
    }
    this.#expect('operator', ']');
    if (bounds.length > 3) this.#fail('a slice has more than three parts');
    if (isSlice) return { type: 'slice', object, bounds };
    return { type: 'item', object, key: bounds[0] ?? this.#fail('expected an index') };
  }

  #arguments(): CallArguments {
    this.#expect('operator', '(');
    const positional: Expression[] = [];
    const named: [string, Expression][] = [];
    let list: Expression | undefined;
    let table: Expression | undefined;
    this.#items(')', () => {
      if (this.#skip('operator', '*')) {
        if (list !== undefined || table !== undefined) this.#fail('a call has two lists of arguments');
        list = this.#expression();
      } else if (this.#skip('operator', '**')) {
        if (table !== undefined) this.#fail('a call has two tables of arguments');
        table = this.#expression();
      } else if (this.#is('name') && this.#is('operator', '=', 1)) {
        if (table !== undefined) this.#fail('an argument stands behind a table of them');
        const { value: name } = this.#expect('name');
        this.#at++;
        named.push([name, this.#expression()]);
      } else {
        if (named.length > 0 || list !== undefined || table !== undefined)
          this.#fail('an argument without a name stands behind one with a name');
        positional.push(this.#expression());
      }
    });
    return { positional, named, list, table };
  }

  #dottedName(): string {
    let name = this.#expect('name').value;
    while (this.#skip('operator', '.')) name += `.${this.#expect('name').value}`;
    return name;
  }

  /** Filters in a row; `first` says that the first one stands without its bar. */
  #filters(input: Expression | undefined, first = false): Expression | undefined {
    let expression = input;
    let bare = first;
    while (bare || this.#skip('operator', '|')) {
      bare = false;
      const name = this.#dottedName();
      if (!FILTERS.has(name)) this.#fail(`the filter ${name} is not known here`);
      const args = this.#is('operator', '(') ? this.#arguments() : { positional: [], named: [] };
      expression = { type: 'filter', name, args, input: expression };
    }
    return expression;
  }

  #test(input: Expression): Expression {
    this.#expect('name', 'is');
    const negated = this.#skip('name', 'not');
    const name = this.#dottedName();
    if (!TESTS.has(name)) this.#fail(`the test ${name} is not known here`);
    return { type: 'test', input, name, args: this.#testArguments(), negated };
  }

  /** In brackets, or a single one without. */
  #testArguments(): CallArguments {
    if (this.#is('operator', '(')) return this.#arguments();
    const { kind, value } = this.#token;
    const begins =
      ['name', 'string', 'integer', 'float'].includes(kind) || (kind === 'operator' && ['[', '{'].includes(value));
    if (!begins || (kind === 'name' && ['else', 'or', 'and'].includes(value))) return { positional: [], named: [] };
    if (kind === 'name' && value === 'is') this.#fail('tests cannot be chained');
    return { positional: [this.#postfix(this.#primary())], named: [] };
  }
}
