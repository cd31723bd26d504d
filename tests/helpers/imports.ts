/** The imports of the repository's TypeScript files, for the guards of the layers and for tools/structure.mjs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** One import of one file: a statement, an `export ... from`, an `import()` or the `import()` of a type. */
export interface Import {
  readonly file: string;
  readonly line: number;
  /** The specifier as written. */
  readonly target: string;
  /** Repository path of a relative import. */
  readonly resolved?: string | undefined;
  readonly typeOnly: boolean;
  readonly dynamic: boolean;
}

/** TypeScript files below `dir`, as paths from `root`. */
export function listSources(root: string, dir: string): string[] {
  const path = join(root, dir);
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const name = `${dir}/${entry.name}`;
    if (entry.isDirectory()) {
      return ['node_modules', 'dist', 'build', 'native'].includes(entry.name) ? [] : listSources(root, name);
    }
    return /\.m?tsx?$/.test(entry.name) ? [name] : [];
  });
}

/** Blanks comments, keeping strings and line numbers, so that an import in an example does not count. */
function blankComments(text: string): string {
  const pattern = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
  return text.replace(pattern, (part) => (part.startsWith('/') ? part.replace(/[^\n]/g, ' ') : part));
}

/** Imports of the file at `file`, whose contents are `text`. */
export function importsOf(file: string, text: string): Import[] {
  const code = blankComments(text);
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[\w*{}\s,$]+?\s+from\s+)?(['"])([^'"\n]+)\2|\bimport\(\s*(['"])([^'"\n]+)\4/g;
  return [...code.matchAll(pattern)].map((match) => {
    const target = match[3] ?? match[5] ?? '';
    const line = code.slice(0, match.index + match[0].search(/\S/)).split('\n').length;
    const relative = target.startsWith('.');
    const resolved = normalize(join(dirname(file), target))
      .replaceAll('\\', '/')
      .replace(/\.js$/, '.ts');
    return {
      file,
      line,
      target,
      typeOnly: match[1] !== undefined,
      dynamic: match[5] !== undefined,
      resolved: relative ? resolved : undefined,
    };
  });
}

/** Imports of all TypeScript files below the folders `dirs` of `root`. */
export function readImports(root: string, dirs: readonly string[]): Import[] {
  return dirs
    .flatMap((dir) => listSources(root, dir))
    .flatMap((file) => importsOf(file, readFileSync(join(root, file), 'utf8')));
}

/** A test, or a fixture that only tests use. */
export const isTest = (file: string): boolean => /\.(test|fixture)\.ts$/.test(file);

/** An import as an arrow, `from` and `to` being paths of files. */
export interface Arrow {
  readonly from: string;
  readonly to: string;
}

/**
 * Groups of files that import each other in circles: the strongly connected components of more than one file, each
 * sorted, by Tarjan's algorithm (Depth-first search and linear graph algorithms, 1972).
 */
export function findCircles(arrows: readonly Arrow[]): string[][] {
  const targets = new Map<string, Set<string>>();
  for (const { from, to } of arrows) targets.set(from, (targets.get(from) ?? new Set()).add(to));
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const open: string[] = [];
  const circles: string[][] = [];
  const visit = (file: string): void => {
    const index = order.size;
    order.set(file, index);
    lowest.set(file, index);
    open.push(file);
    for (const next of targets.get(file) ?? []) {
      if (!order.has(next)) visit(next);
      if (open.includes(next)) lowest.set(file, Math.min(lowest.get(file)!, lowest.get(next)!));
    }
    if (lowest.get(file) !== index) return;
    const circle = open.splice(open.indexOf(file)).sort();
    if (circle.length > 1) circles.push(circle);
  };
  for (const file of targets.keys()) if (!order.has(file)) visit(file);
  return circles.sort((a, b) => (a[0]! < b[0]! ? -1 : 1));
}
