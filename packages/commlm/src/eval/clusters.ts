/**
 * What is drawn together when samples are drawn anew: all units about one picture, since a model that fails to see it fails
 * all of them. Parts of a benchmark that share pictures (the splits of POPE) are drawn together, others each on their own.
 */

/** One unit of a benchmark: a question, or questions that count together. */
export interface PicturedUnit {
  /** Part of the benchmark that has figures of its own. */
  readonly group: string;
  /** The pictures it is about; a unit without any is a cluster of its own. */
  readonly pictures: readonly string[];
}

/** Clusters that are drawn with replacement among each other, and the groups that their units belong to. */
export interface Stratum<Unit> {
  readonly groups: readonly string[];
  readonly clusters: readonly (readonly Unit[])[];
}

/** Sets that grow together (union-find). */
class Sets {
  readonly #parents: number[];

  constructor(size: number) {
    this.#parents = Array.from({ length: size }, (_, i) => i);
  }

  /** The first member of a set, which stands for it. */
  find(member: number): number {
    let at = member;
    while (this.#parents[at] !== at) {
      const above = this.#parents[this.#parents[at]!]!;
      this.#parents[at] = above;
      at = above;
    }
    return at;
  }

  join(a: number, b: number): void {
    const [first, second] = [this.find(a), this.find(b)];
    this.#parents[Math.max(first, second)] = Math.min(first, second);
  }
}

/** Members with equal keys, in the order of their first ones. */
function gather<Value>(values: readonly Value[], keyOf: (value: Value, index: number) => number): Value[][] {
  const gathered = new Map<number, Value[]>();
  values.forEach((value, i) => {
    const key = keyOf(value, i);
    const members = gathered.get(key);
    if (members === undefined) gathered.set(key, [value]);
    else members.push(value);
  });
  return [...gathered.values()];
}

/** Units that share a picture, directly or through others. */
function clustersOf<Unit extends PicturedUnit>(units: readonly Unit[]): Unit[][] {
  const sets = new Sets(units.length);
  const firstUnit = new Map<string, number>();
  units.forEach(({ pictures }, i) => {
    for (const picture of pictures) {
      const first = firstUnit.get(picture);
      if (first === undefined) firstUnit.set(picture, i);
      else sets.join(first, i);
    }
  });
  return gather(units, (_, i) => sets.find(i));
}

/** The strata of units, in their order. */
export function strataOf<Unit extends PicturedUnit>(units: readonly Unit[]): Stratum<Unit>[] {
  const groups = [...new Set(units.map(({ group }) => group))];
  const places = new Map(groups.map((group, i) => [group, i]));
  const placeOf = ({ group }: PicturedUnit): number => places.get(group)!;
  const clusters = clustersOf(units);
  const sets = new Sets(groups.length);
  for (const [first, ...others] of clusters) {
    for (const other of others) sets.join(placeOf(first as Unit), placeOf(other));
  }
  return gather(clusters, ([first]) => sets.find(placeOf(first as Unit))).map((members) => {
    const stratum = sets.find(placeOf(members[0]?.[0] as Unit));
    return { groups: groups.filter((_, i) => sets.find(i) === stratum), clusters: members };
  });
}
