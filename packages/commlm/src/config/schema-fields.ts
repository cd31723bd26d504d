/** What a schema says of a place in a value: the fields that it knows there. */

/** The parts of zod's schemas that are looked at. */
interface Schema {
  readonly def: {
    readonly type: string;
    readonly shape?: Readonly<Record<string, Schema>>;
    readonly element?: Schema;
    readonly items?: readonly Schema[];
    /** Of a map. */
    readonly keyType?: Schema;
    readonly valueType?: Schema;
    /** Of a choice of words. */
    readonly entries?: Readonly<Record<string, unknown>>;
    /** Of one word. */
    readonly values?: readonly unknown[];
    readonly options?: readonly Schema[];
    readonly innerType?: Schema;
    readonly getter?: () => Schema;
  };
}

/** The schemas that `value` can be meant by: without wrappers, of a union the options of its `kind`, or else all. */
function meant({ def }: Schema, value: unknown): Schema[] {
  const inner = def.getter?.() ?? def.innerType;
  if (inner !== undefined) return meant(inner, value);
  if (def.options === undefined) return [{ def }];
  const kind = (value as { kind?: unknown } | null | undefined)?.kind;
  const kindOf = (option: Schema): unknown => option.def.shape?.['kind']?.def.values?.[0];
  const chosen = def.options.filter((option) => kindOf(option) === kind);
  return (chosen.length > 0 ? chosen : def.options).flatMap((option) => meant(option, value));
}

/** The schemas of what lies at `path` in `value`; none where the schema knows no such place. */
function schemasAt(schema: Schema, path: readonly PropertyKey[], value: unknown): Schema[] {
  const here = meant(schema, value);
  const [key, ...rest] = path;
  if (key === undefined) return here;
  const child = (value as Record<PropertyKey, unknown> | null | undefined)?.[key];
  return here.flatMap(({ def }) => {
    const named = Object.hasOwn(def.shape ?? {}, key) ? def.shape![key as string] : undefined;
    const next = named ?? def.valueType ?? def.element ?? def.items?.[Number(key)];
    return next === undefined ? [] : schemasAt(next, rest, child);
  });
}

/** Whether `schema` knows a place `path` in `value`. */
export const knowsField = (schema: object, path: readonly PropertyKey[], value: unknown): boolean =>
  schemasAt(schema as Schema, path, value).length > 0;

/** The fields that `schema` knows by name at `path` in `value`, each once. */
export const fieldsAt = (schema: object, path: readonly PropertyKey[], value: unknown): string[] => [
  ...new Set(
    schemasAt(schema as Schema, path, value).flatMap(({ def }) =>
      Object.keys(def.shape ?? def.keyType?.def.entries ?? {}),
    ),
  ),
];

/** The words that `schema` takes at `path` in `value`. */
export const choicesAt = (schema: object, path: readonly PropertyKey[], value: unknown): string[] => [
  ...new Set(
    schemasAt(schema as Schema, path, value).flatMap(
      ({ def }) => def.values?.map(String) ?? Object.keys(def.entries ?? {}),
    ),
  ),
];

/** Whether a map from names to numbers lies at `path`. */
export const isMapOfNumbers = (schema: object, path: readonly PropertyKey[], value: unknown): boolean =>
  schemasAt(schema as Schema, path, value).some(
    ({ def }) => def.type === 'record' && meant(def.valueType!, undefined).some(({ def }) => def.type === 'number'),
  );
