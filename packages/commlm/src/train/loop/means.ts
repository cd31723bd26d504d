/** Means of figures between two log lines; a figure may be missing now and then. */

/** Sums so far; what a checkpoint keeps of them. */
export type MeansState = Readonly<Record<string, { readonly sum: number; readonly count: number }>>;

/** Gathers figures until they are taken. */
export class Means {
  state: MeansState = {};

  add(figures: Readonly<Record<string, number>>): void {
    const grown = Object.entries(figures).map(([name, value]) => {
      const { sum, count } = this.state[name] ?? { sum: 0, count: 0 };
      return [name, { sum: sum + value, count: count + 1 }] as const;
    });
    this.state = { ...this.state, ...Object.fromEntries(grown) };
  }

  /** The means, in the order in which the figures came first; begins anew. */
  take(): Record<string, number> {
    const means = Object.entries(this.state).map(([name, { sum, count }]) => [name, sum / count] as const);
    this.state = {};
    return Object.fromEntries(means);
  }
}
