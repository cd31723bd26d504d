/**
 * A longest-match scanner over UTF-16 units: rules are small patterns compiled to one automaton whose states are built
 * when they are first needed. The longest match wins, of equals the earlier rule; a rule may ask for a following context,
 * which counts for the length of the match but is not consumed.
 *
 * Pattern language: literals (upper and lower case alike), `[...]` classes (exact case, ranges, `^`), `.`-free,
 * `( )`, `|`, `?`, `*`, `+`, `{m,n}`, `{name}` for a definition, and backslash escapes.
 */

/** Sorted, non-overlapping inclusive ranges of UTF-16 units: `[low, high, low, high, ...]`. */
export type CharSet = readonly number[];

/** A scanner rule; `context` must follow the match but stays in the input. */
export interface ScannerRule<Action> {
  readonly pattern: string;
  readonly context?: string;
  readonly action: Action;
}

type Node =
  | { readonly kind: 'set'; readonly set: CharSet }
  | { readonly kind: 'sequence'; readonly items: readonly Node[] }
  | { readonly kind: 'choice'; readonly items: readonly Node[] }
  | { readonly kind: 'repeat'; readonly item: Node; readonly min: number; readonly max: number };

const LAST_UNIT = 0xffff;
const DEAD = 0;
const UNKNOWN = -1;

/** Sorts and merges ranges given in any order. */
export function charSet(ranges: ReadonlyArray<readonly [number, number]>): CharSet {
  const merged: number[] = [];
  for (const [low, high] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = merged.length - 1;
    if (last > 0 && low <= (merged[last] ?? 0) + 1) merged[last] = Math.max(merged[last] ?? 0, high);
    else merged.push(low, high);
  }
  return merged;
}

function complement(set: CharSet): CharSet {
  const out: number[] = [];
  let next = 0;
  for (let i = 0; i < set.length; i += 2) {
    if ((set[i] ?? 0) > next) out.push(next, (set[i] ?? 0) - 1);
    next = (set[i + 1] ?? 0) + 1;
  }
  if (next <= LAST_UNIT) out.push(next, LAST_UNIT);
  return out;
}

/** Units that a caseless literal accepts beside itself: both cases, and the compatibility letters that fold onto i, k and s. */
const FOLDS_TO: Readonly<Record<string, readonly number[]>> = { i: [0x130, 0x131], k: [0x212a], s: [0x17f] };

function literalSet(char: string): CharSet {
  const lower = char.toLowerCase();
  const units = [char, lower, char.toUpperCase()]
    .filter((form) => form.length === 1)
    .map((form) => form.charCodeAt(0))
    .concat(FOLDS_TO[lower] ?? []);
  return charSet(units.map((unit) => [unit, unit]));
}

/** Recursive-descent reader of the pattern language. */
class PatternReader {
  private position = 0;
  private readonly text: string;
  private readonly definitions: ReadonlyMap<string, Node>;

  constructor(text: string, definitions: ReadonlyMap<string, Node>) {
    this.text = text;
    this.definitions = definitions;
  }

  read(): Node {
    const node = this.choice();
    if (this.position < this.text.length) throw this.error('unbalanced bracket');
    return node;
  }

  private error(what: string): SyntaxError {
    return new SyntaxError(`Scanner pattern ${JSON.stringify(this.text)}: ${what} at ${this.position}.`);
  }

  private peek(): string {
    return this.text.charAt(this.position);
  }

  private choice(): Node {
    const items = [this.sequence()];
    while (this.peek() === '|') {
      this.position++;
      items.push(this.sequence());
    }
    return items.length === 1 ? items[0]! : { kind: 'choice', items };
  }

  private sequence(): Node {
    const items: Node[] = [];
    while (this.position < this.text.length && this.peek() !== '|' && this.peek() !== ')') items.push(this.repeated());
    return items.length === 1 ? items[0]! : { kind: 'sequence', items };
  }

  private repeated(): Node {
    let node = this.atom();
    for (;;) {
      const mark = this.peek();
      const bounds = /^\{(\d+)(?:,(\d+))?\}/.exec(this.text.slice(this.position, this.position + 12));
      if (mark === '*') node = { kind: 'repeat', item: node, min: 0, max: Number.POSITIVE_INFINITY };
      else if (mark === '+') node = { kind: 'repeat', item: node, min: 1, max: Number.POSITIVE_INFINITY };
      else if (mark === '?') node = { kind: 'repeat', item: node, min: 0, max: 1 };
      else if (bounds) {
        node = { kind: 'repeat', item: node, min: Number(bounds[1]), max: Number(bounds[2] ?? bounds[1]) };
        this.position += bounds[0].length - 1;
      } else return node;
      this.position++;
    }
  }

  private atom(): Node {
    const char = this.peek();
    if (char === '(') {
      this.position++;
      const node = this.choice();
      if (this.peek() !== ')') throw this.error('missing )');
      this.position++;
      return node;
    }
    if (char === '[') return { kind: 'set', set: this.charClass() };
    if (char === '{') {
      const end = this.text.indexOf('}', this.position);
      const name = this.text.slice(this.position + 1, end);
      const node = this.definitions.get(name);
      if (!node) throw this.error(`unknown definition ${name}`);
      this.position = end + 1;
      return node;
    }
    return { kind: 'set', set: literalSet(this.escapedChar()) };
  }

  private escapedChar(): string {
    if (this.peek() === '\\') this.position++;
    const char = this.peek();
    if (char === '') throw this.error('early end');
    this.position++;
    return char;
  }

  private charClass(): CharSet {
    this.position++;
    const negated = this.peek() === '^';
    if (negated) this.position++;
    const ranges: Array<[number, number]> = [];
    while (this.peek() !== ']') {
      const low = this.escapedChar().charCodeAt(0);
      let high = low;
      if (this.peek() === '-' && this.text.charAt(this.position + 1) !== ']') {
        this.position++;
        high = this.escapedChar().charCodeAt(0);
      }
      ranges.push([low, high]);
    }
    this.position++;
    return negated ? complement(charSet(ranges)) : charSet(ranges);
  }
}

/** The non-deterministic automaton of all patterns; states are numbers. */
class Network {
  readonly epsilon: number[][] = [];
  readonly edgeSet: number[] = [];
  readonly edgeTarget: number[] = [];
  readonly accept: number[] = [];
  readonly sets: CharSet[] = [];
  private readonly setIds = new Map<string, number>();

  state(): number {
    this.epsilon.push([]);
    this.edgeSet.push(-1);
    this.edgeTarget.push(-1);
    this.accept.push(-1);
    return this.epsilon.length - 1;
  }

  link(from: number, to: number): void {
    this.epsilon[from]?.push(to);
  }

  /** Appends `node` after `from`, returns its end state. */
  append(node: Node, from: number): number {
    switch (node.kind) {
      case 'set': {
        const source = this.state();
        const target = this.state();
        this.link(from, source);
        this.edgeSet[source] = this.setId(node.set);
        this.edgeTarget[source] = target;
        return target;
      }
      case 'sequence':
        return node.items.reduce((end, item) => this.append(item, end), from);
      case 'choice': {
        const end = this.state();
        for (const item of node.items) {
          const start = this.state();
          this.link(from, start);
          this.link(this.append(item, start), end);
        }
        return end;
      }
      case 'repeat':
        return this.appendRepeat(node.item, node.min, node.max, from);
    }
  }

  private appendRepeat(item: Node, min: number, max: number, from: number): number {
    let end = from;
    for (let i = 0; i < min; i++) end = this.append(item, end);
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.state();
      this.link(end, loop);
      this.link(this.append(item, loop), loop);
      return loop;
    }
    const exit = this.state();
    this.link(end, exit);
    for (let i = min; i < max; i++) {
      end = this.append(item, end);
      this.link(end, exit);
    }
    return exit;
  }

  private setId(set: CharSet): number {
    const key = set.join();
    let id = this.setIds.get(key);
    if (id === undefined) {
      id = this.sets.length;
      this.sets.push(set);
      this.setIds.set(key, id);
    }
    return id;
  }
}

/** Partition of the UTF-16 units into classes that no set of the network tells apart. */
class Alphabet {
  readonly classOf = new Uint16Array(LAST_UNIT + 1);
  readonly numClasses: number;
  /** `contains[set][class]`. */
  readonly contains: readonly Uint8Array[];

  constructor(sets: readonly CharSet[]) {
    const starts = new Set<number>([0]);
    for (const set of sets) {
      for (let i = 0; i < set.length; i += 2) {
        starts.add(set[i] ?? 0);
        starts.add((set[i + 1] ?? 0) + 1);
      }
    }
    starts.delete(LAST_UNIT + 1);
    const points = [...starts].sort((a, b) => a - b);
    const indexOf = new Map(points.map((point, index) => [point, index]));
    const interval = new Array<number>(points.length).fill(0);
    let numClasses = 1;
    for (const set of sets) {
      const split = new Map<number, number>();
      for (let i = 0; i < set.length; i += 2) {
        const end = indexOf.get((set[i + 1] ?? 0) + 1) ?? points.length;
        for (let k = indexOf.get(set[i] ?? 0) ?? 0; k < end; k++) {
          const old = interval[k] ?? 0;
          let fresh = split.get(old);
          if (fresh === undefined) {
            fresh = numClasses++;
            split.set(old, fresh);
          }
          interval[k] = fresh;
        }
      }
    }
    const used = new Map<number, number>();
    points.forEach((point, index) => {
      const id = interval[index] ?? 0;
      if (!used.has(id)) used.set(id, used.size);
      this.classOf.fill(used.get(id) ?? 0, point, points[index + 1] ?? LAST_UNIT + 1);
    });
    this.numClasses = used.size;
    this.contains = sets.map((set) => {
      const flags = new Uint8Array(this.numClasses);
      for (let i = 0; i < set.length; i += 2) {
        const end = indexOf.get((set[i + 1] ?? 0) + 1) ?? points.length;
        for (let k = indexOf.get(set[i] ?? 0) ?? 0; k < end; k++) flags[used.get(interval[k] ?? 0) ?? 0] = 1;
      }
      return flags;
    });
  }
}

/** Deterministic view of a network from one start state, built lazily. */
class Automaton {
  private readonly network: Network;
  private readonly alphabet: Alphabet;
  private readonly members: number[][] = [[]];
  private readonly next: Int32Array[];
  private readonly accepts: number[] = [-1];
  private readonly ids = new Map<string, number>([['', DEAD]]);
  private readonly start: number;
  /** What {@link longest} found. */
  matchedRule = -1;
  matchedEnd = -1;

  constructor(network: Network, alphabet: Alphabet, start: number) {
    this.network = network;
    this.alphabet = alphabet;
    this.next = [new Int32Array(alphabet.numClasses)];
    this.start = this.intern([start]);
  }

  /** End and rule of the longest match from `from`; `matchedRule` is -1 when there is none. */
  longest(text: string, from: number): void {
    const { classOf } = this.alphabet;
    const { next, accepts } = this;
    let state = this.start;
    this.matchedRule = -1;
    for (let i = from; i < text.length; i++) {
      const unitClass = classOf[text.charCodeAt(i)]!;
      let target = next[state]![unitClass] as number;
      if (target === UNKNOWN) target = this.advance(state, unitClass);
      if (target === DEAD) return;
      state = target;
      const rule = accepts[state]!;
      if (rule >= 0) {
        this.matchedRule = rule;
        this.matchedEnd = i + 1;
      }
    }
  }

  /** Every end at which a match from `from` could stop, in increasing order. */
  ends(text: string, from: number): number[] {
    const ends: number[] = [];
    let state = this.start;
    for (let i = from; i < text.length; i++) {
      const unitClass = this.alphabet.classOf[text.charCodeAt(i)]!;
      let target = this.next[state]![unitClass] as number;
      if (target === UNKNOWN) target = this.advance(state, unitClass);
      if (target === DEAD) break;
      state = target;
      if (this.accepts[state]! >= 0) ends.push(i + 1);
    }
    return ends;
  }

  private advance(state: number, unitClass: number): number {
    const { contains } = this.alphabet;
    const targets: number[] = [];
    for (const member of this.members[state] ?? []) {
      const set = this.network.edgeSet[member]!;
      if (set >= 0 && contains[set]?.[unitClass] === 1) targets.push(this.network.edgeTarget[member]!);
    }
    const id = this.intern(targets);
    this.next[state]![unitClass] = id;
    return id;
  }

  /** State number of the epsilon closure of `seeds`. */
  private intern(seeds: readonly number[]): number {
    const seen = new Set<number>();
    const stack = [...seeds];
    let accept = Number.POSITIVE_INFINITY;
    while (stack.length > 0) {
      const state = stack.pop() as number;
      if (seen.has(state)) continue;
      seen.add(state);
      const rule = this.network.accept[state]!;
      if (rule >= 0 && rule < accept) accept = rule;
      stack.push(...(this.network.epsilon[state] ?? []));
    }
    const kept = [...seen].filter((state) => this.network.edgeSet[state] !== -1 || this.network.accept[state] !== -1);
    const members = kept.sort((a, b) => a - b);
    const key = members.join();
    const known = this.ids.get(key);
    if (known !== undefined) return known;
    const id = this.members.length;
    this.ids.set(key, id);
    this.members.push(members);
    this.accepts.push(accept === Number.POSITIVE_INFINITY ? -1 : accept);
    this.next.push(new Int32Array(this.alphabet.numClasses).fill(UNKNOWN));
    return id;
  }
}

/** What a scan step found: the action of the rule and the end of the consumed text. */
export interface ScanMatch<Action> {
  readonly action: Action;
  readonly end: number;
}

/** Longest-match scanner, see the head of this file. */
export class Scanner<Action> {
  private readonly rules: ReadonlyArray<ScannerRule<Action>>;
  private readonly main: Automaton;
  private readonly parts = new Map<number, { readonly head: Automaton; readonly context: Automaton }>();

  /** @param definitions named patterns or character sets, each may use those before it. */
  constructor(
    definitions: ReadonlyArray<readonly [name: string, value: string | CharSet]>,
    rules: ReadonlyArray<ScannerRule<Action>>,
  ) {
    this.rules = rules;
    const named = new Map<string, Node>();
    for (const [name, value] of definitions) {
      named.set(name, typeof value === 'string' ? new PatternReader(value, named).read() : { kind: 'set', set: value });
    }
    const network = new Network();
    const start = network.state();
    const partStarts: Array<[rule: number, head: number, context: number]> = [];
    rules.forEach((rule, index) => {
      const head = new PatternReader(rule.pattern, named).read();
      let end = network.append(head, start);
      if (rule.context !== undefined) {
        const context = new PatternReader(rule.context, named).read();
        const headStart = network.state();
        const contextStart = network.state();
        network.accept[network.append(head, headStart)] = 0;
        network.accept[network.append(context, contextStart)] = 0;
        partStarts.push([index, headStart, contextStart]);
        end = network.append(context, end);
      }
      const final = network.state();
      network.link(end, final);
      network.accept[final] = index;
    });
    const alphabet = new Alphabet(network.sets);
    this.main = new Automaton(network, alphabet, start);
    for (const [rule, head, context] of partStarts) {
      this.parts.set(rule, {
        head: new Automaton(network, alphabet, head),
        context: new Automaton(network, alphabet, context),
      });
    }
  }

  /** The match at `from`, or null when no rule matches there. */
  match(text: string, from: number): ScanMatch<Action> | null {
    this.main.longest(text, from);
    const { matchedRule: rule, matchedEnd: end } = this.main;
    if (rule < 0) return null;
    const action = this.rules[rule]!.action;
    return { action, end: this.parts.has(rule) ? this.headEnd(text, from, rule, end) : end };
  }

  /** End of the longest head such that head and context together cover `from..end`. */
  private headEnd(text: string, from: number, rule: number, end: number): number {
    const { head, context } = this.parts.get(rule) as { head: Automaton; context: Automaton };
    const covered = text.slice(0, end);
    const heads = head.ends(covered, from);
    return heads.findLast((at) => context.ends(covered, at).includes(end)) ?? end;
  }
}
