/** The parts of a parsed template. */
import type { Value } from './values.js';

/** Names, positions and values given in a call. */
export interface CallArguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  /** Behind `*` and `**`. */
  readonly list?: Expression | undefined;
  readonly table?: Expression | undefined;
}

export type Operator = '+' | '-' | '*' | '/' | '//' | '%' | '**';
export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in';

export type Expression =
  | { readonly type: 'constant'; readonly value: Value }
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'list' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly type: 'dict'; readonly entries: readonly (readonly [Expression, Expression])[] }
  | {
      readonly type: 'condition';
      readonly test: Expression;
      readonly whenTrue: Expression;
      readonly otherwise?: Expression | undefined;
    }
  | { readonly type: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly type: 'not' | 'negative' | 'positive'; readonly operand: Expression }
  | {
      readonly type: 'compare';
      readonly first: Expression;
      readonly rest: readonly (readonly [Comparison, Expression])[];
    }
  | { readonly type: 'concat'; readonly items: readonly Expression[] }
  | { readonly type: 'binary'; readonly operator: Operator; readonly left: Expression; readonly right: Expression }
  | { readonly type: 'attribute'; readonly object: Expression; readonly name: string }
  | { readonly type: 'item'; readonly object: Expression; readonly key: Expression }
  | { readonly type: 'slice'; readonly object: Expression; readonly bounds: readonly (Expression | undefined)[] }
  | { readonly type: 'call'; readonly callee: Expression; readonly args: CallArguments }
  /** A filter without an input stands in a block, whose text it changes. */
  | {
      readonly type: 'filter';
      readonly input?: Expression | undefined;
      readonly name: string;
      readonly args: CallArguments;
    }
  | {
      readonly type: 'test';
      readonly input: Expression;
      readonly name: string;
      readonly args: CallArguments;
      readonly negated: boolean;
    };

/** What `set` and `for` write to. */
export type Target =
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'field'; readonly namespace: string; readonly field: string }
  | { readonly type: 'tuple'; readonly items: readonly Target[] };

/** Names of a macro or a call block, some with defaults. */
export interface Signature {
  readonly name: string;
  readonly parameters: readonly { readonly name: string; readonly fallback?: Expression | undefined }[];
  readonly body: readonly Statement[];
  /** The names of its own that its text speaks of. */
  readonly uses: ReadonlySet<string>;
}

export type Statement =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'print'; readonly value: Expression }
  | {
      readonly type: 'for';
      readonly target: Target;
      readonly iterable: Expression;
      readonly filter?: Expression | undefined;
      readonly recursive: boolean;
      readonly body: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  | {
      readonly type: 'if';
      readonly test: Expression;
      readonly whenTrue: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly type: 'set'; readonly target: Target; readonly value: Expression }
  | {
      readonly type: 'setBlock';
      readonly target: Target;
      readonly filter?: Expression | undefined;
      readonly body: readonly Statement[];
    }
  | { readonly type: 'macro'; readonly macro: Signature }
  | { readonly type: 'callBlock'; readonly call: Expression; readonly caller: Signature }
  | { readonly type: 'filterBlock'; readonly filter: Expression; readonly body: readonly Statement[] }
  | {
      readonly type: 'with';
      readonly bindings: readonly (readonly [Target, Expression])[];
      readonly body: readonly Statement[];
    }
  | { readonly type: 'generation'; readonly body: readonly Statement[] }
  | { readonly type: 'break' | 'continue' };
