/** A value of the user's in a file: JSON, or a module of JavaScript or TypeScript that exports it by a name. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CommError } from '../config/errors.js';
import { checkFile, readJson } from './read.js';

const MODULES = ['.mjs', '.js', '.ts', '.mts'];

/** Whether an argument names such a file and no thing of ours. */
export const isValueFile = (name: string): boolean =>
  ['.json', ...MODULES].includes(extname(name)) || basename(name) !== name;

/** A name for what the file at `path` says: its own without the ending. */
export const nameOfFile = (path: string): string => basename(path, extname(path));

/**
 * Reads the value. `$schema`, by which editors complete a JSON file, is left out.
 *
 * @param exported name under which a module exports it
 * @param what what it is, for errors
 */
export async function readValueFile(
  path: string,
  { exported, what }: { readonly exported: string; readonly what: string },
): Promise<unknown> {
  const ending = extname(path);
  if (ending !== '.json' && !MODULES.includes(ending)) {
    throw new CommError(`${path} is no file of ${what}: its name ends in "${ending}".`, {
      code: 'file/ending',
      fix: 'Give JSON (.json), or a module (.mjs, .js, .ts).',
      exitCode: 2,
    });
  }
  if (ending === '.json') {
    const value = readJson(path, { what });
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    const { $schema: _, ...rest } = value as Record<string, unknown>;
    return rest;
  }
  checkFile(path, what);
  const names = await (ending.endsWith('ts') ? importTypeScript(path) : importModule(path));
  if (Object.hasOwn(names, exported)) return names[exported];
  throw new CommError(`${path} exports no "${exported}".`, {
    code: 'file/export',
    fix: `Write in it: export const ${exported} = { ... };`,
    exitCode: 2,
  });
}

async function importModule(path: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(resolve(path)).href)) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof CommError) throw error;
    throw new CommError(`${path} does not run: ${(error as Error).message.split('\n')[0]}.`.replace('..', '.'), {
      code: 'file/module',
      fix: `Run it by itself to see where: node ${path}`,
      exitCode: 2,
      cause: error,
    });
  }
}

/** Imports TypeScript: by Node where it leaves out types itself (22.18 and later), or else compiled by the TypeScript of the file's project. */
async function importTypeScript(path: string): Promise<Record<string, unknown>> {
  if ((process.features as { typescript?: unknown }).typescript) return importModule(path);
  const compiler = compilerFor(path);
  const folder = mkdtempSync(join(dirname(path), '.compiled-'));
  try {
    const options = {
      ...{ module: 'esnext', moduleResolution: 'bundler', target: 'es2022' },
      ...{ rootDir: resolve(dirname(path)), outDir: '.', noCheck: true, skipLibCheck: true, types: [] },
    };
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: options, files: [`../${basename(path)}`] }),
    );
    const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' });
    const made = join(folder, basename(path).replace(/ts$/, 'js'));
    if (status !== 0 || !existsSync(made)) {
      throw new CommError(`${path} does not compile: ${stdout.split('\n')[0]}`, { code: 'file/module', exitCode: 2 });
    }
    return await importModule(made);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function compilerFor(path: string): string {
  try {
    return join(dirname(createRequire(resolve(path)).resolve('typescript/package.json')), 'bin', 'tsc');
  } catch {
    throw new CommError(`${path} is TypeScript, which Node.js ${process.versions.node} does not read by itself.`, {
      code: 'file/typescript',
      fix: 'Take Node.js 22.18 or later, install typescript beside the file (npm install -D typescript), or write it as .mjs or .json.',
      exitCode: 2,
    });
  }
}
