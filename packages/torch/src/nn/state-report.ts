/** Comparing a state dict with what a module expects, and saying in one sentence what does not fit. */

/** A key with the shape that was given and the one that is wanted. */
export interface MisshapedKey {
  key: string;
  given: readonly number[];
  wanted: readonly number[];
}

/** What does not fit between a state dict and a module. */
export interface StateReport {
  /** Wanted by the module, absent from the state dict. */
  missing: string[];
  /** In the state dict, unknown to the module. */
  unexpected: string[];
  misshaped: MisshapedKey[];
}

/** How many keys of a kind are spelt out before "and N more". */
const SHOWN = 8;

/** Compares given keys and shapes with the wanted ones. */
export function compareState(
  wanted: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  given: ReadonlyMap<string, { readonly shape: readonly number[] }>,
): StateReport {
  const report: StateReport = { missing: [], unexpected: [], misshaped: [] };
  for (const [key, { shape }] of wanted) {
    const found = given.get(key);
    if (found === undefined) report.missing.push(key);
    else if (!sameShape(found.shape, shape)) report.misshaped.push({ key, given: found.shape, wanted: shape });
  }
  for (const key of given.keys()) if (!wanted.has(key)) report.unexpected.push(key);
  return report;
}

/** One sentence that names what is missing, unexpected (with the nearest missing name) and of another shape. */
export function describeReport(owner: string, { missing, unexpected, misshaped }: StateReport): string {
  const parts: string[] = [];
  if (missing.length > 0) parts.push(`${count(missing, 'missing key')}: ${list(missing, quote)}`);
  if (unexpected.length > 0) {
    const hint = (key: string) => {
      const near = nearest(key, missing);
      return quote(key) + (near === undefined ? '' : ` (did you mean ${quote(near)}?)`);
    };
    parts.push(`${count(unexpected, 'unexpected key')}: ${list(unexpected, hint)}`);
  }
  if (misshaped.length > 0) {
    const detail = ({ key, given, wanted }: MisshapedKey) => `${quote(key)} is ${axes(given)}, wanted ${axes(wanted)}`;
    parts.push(`${count(misshaped, 'key')} of another shape: ${list(misshaped, detail)}`);
  }
  return `the state dict does not fit ${owner}: ${parts.join('; ')}`;
}

/** The candidate with the smallest edit distance, if that is at most a third of the name's length. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.floor(name.length / 3) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue;
    const distance = editDistance(name, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitute, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

function count(keys: readonly unknown[], noun: string): string {
  return `${keys.length} ${keys.length === 1 ? noun : `${noun}s`}`;
}

function list<T>(keys: readonly T[], show: (key: T) => string): string {
  const rest = keys.length - SHOWN;
  return keys.slice(0, SHOWN).map(show).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

function quote(key: string): string {
  return `"${key}"`;
}

function axes(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}
