/** Faults of data by their kind: what is wrong in the same way is told once, with how often, the first places and the fix. */

/** A fault, as the check of the data and the preview find them. */
export interface Fault {
  readonly kind: string;
  readonly message: string;
  readonly fix?: string | undefined;
}

/** Names, places and numbers: what differs between two sentences about the same fault. */
const PARTICULARS = /"(?:[^"\\]|\\.)*"|\S*[/\\]\S*|\S*\.\w\S*|\S*\d\S*/g;

/** Faults, grouped in the order in which the first of each was found. */
export class FaultGroups {
  readonly #groups = new Map<string, Fault[]>();

  constructor(faults: readonly Fault[]) {
    for (const fault of faults) {
      const { kind, message, fix = '' } = fault;
      const key = [kind, message, fix].map((text) => text.replace(PARTICULARS, '#')).join('\n');
      const group = this.#groups.get(key);
      if (group === undefined) this.#groups.set(key, [fault]);
      else group.push(fault);
    }
  }

  /** Lines that tell each group with its first `show` faults, the fix last. */
  lines(show: number): string[] {
    return [...this.#groups.values()].flatMap((faults) => {
      const { kind, fix } = faults[0]!;
      const remedy = fix === undefined ? [] : [`    ${fix}`];
      if (faults.length === 1 && show > 0) return [`${kind}  ${faults[0]!.message}`, ...remedy];
      const first = faults.slice(0, show).map(({ message }) => `${kind}  ${message}`);
      const some = show > 0 && faults.length > show ? `, the first ${show}; --all prints each` : '';
      return [`${faults.length} x ${kind}${some}:`, ...first, ...remedy];
    });
  }
}
