/**
 * Where pip would look for packages, read as pip reads it: its configuration files and the variables PIP_*. So whoever has
 * set pip up for a mirror, a proxy or a folder of wheels has set this package up too, also without a Python.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where pip looks when nobody has named an index. */
export const DEFAULT_INDEX = 'https://pypi.org/simple';

/** Pip's settings that matter for fetching one file. */
export interface PipSettings {
  /** Package indexes, best first; none with `noIndex`. */
  readonly indexes: readonly string[];
  /** Folders and pages with links to wheels. */
  readonly findLinks: readonly string[];
  readonly noIndex: boolean;
  /** File with the certificates to trust. */
  readonly cert: string | undefined;
  readonly proxy: string | undefined;
}

/** The configuration files, weakest first. */
function configFiles(env: NodeJS.ProcessEnv): string[] {
  const home = homedir();
  const one = env.PIP_CONFIG_FILE;
  if (one === '/dev/null' || one === 'nul' || one === '\\\\.\\nul') return [];
  const own = env.VIRTUAL_ENV === undefined ? [] : [env.VIRTUAL_ENV];
  if (process.platform === 'win32') {
    const roots = [env.ProgramData && join(env.ProgramData, 'pip'), join(home, 'pip')];
    const roaming = env.APPDATA && join(env.APPDATA, 'pip');
    return [...roots, roaming, ...own]
      .filter(Boolean)
      .map((folder) => join(folder as string, 'pip.ini'))
      .concat(one ?? []);
  }
  const system = (env.XDG_CONFIG_DIRS || '/etc/xdg').split(':').map((folder) => join(folder, 'pip', 'pip.conf'));
  const mac = process.platform === 'darwin' ? [join(home, 'Library/Application Support/pip/pip.conf')] : [];
  const user = join(env.XDG_CONFIG_HOME || join(home, '.config'), 'pip', 'pip.conf');
  return [
    ...[...system.reverse(), '/etc/pip.conf', join(home, '.pip', 'pip.conf'), user, ...mac],
    ...own.map((folder) => join(folder, 'pip.conf')),
    ...(one ? [one] : []),
  ];
}

/** Values of the sections `global` and `download` of a configuration file; lines that are indented continue a value. */
function parseConfig(text: string): Map<string, string> {
  const values = new Map<string, string>();
  let section = '';
  let key = '';
  for (const line of text.split(/\r?\n/)) {
    const header = /^\[(.+)\]\s*$/.exec(line)?.[1];
    const [, name, value] = /^([\w-]+)\s*[=:]\s*(.*)$/.exec(line) ?? [];
    if (/^\s*([#;].*)?$/.test(line)) continue;
    if (header !== undefined) section = header.trim().toLowerCase();
    else if (/^\s/.test(line) && key !== '') values.set(key, `${values.get(key)}\n${line.trim()}`);
    else if (name !== undefined) {
      key = section === 'global' || section === 'download' ? name.toLowerCase().replaceAll('_', '-') : '';
      if (key !== '') values.set(key, value ?? '');
    }
  }
  return values;
}

/** Reads pip's settings. */
export function readPipSettings(env: NodeJS.ProcessEnv = process.env): PipSettings {
  const values = new Map<string, string>();
  for (const file of configFiles(env)) {
    try {
      for (const [key, value] of parseConfig(readFileSync(file, 'utf8'))) values.set(key, value);
    } catch {
      // Absent, as most of them are.
    }
  }
  const setting = (name: string): string | undefined =>
    (env[`PIP_${name.toUpperCase().replaceAll('-', '_')}`] ?? values.get(name))?.trim() || undefined;
  const list = (name: string): string[] => setting(name)?.split(/\s+/) ?? [];
  const noIndex = /^(1|true|yes|on)$/i.test(setting('no-index') ?? '');
  return {
    indexes: noIndex ? [] : [setting('index-url') ?? DEFAULT_INDEX, ...list('extra-index-url')],
    findLinks: list('find-links'),
    noIndex,
    cert: setting('cert'),
    proxy: setting('proxy'),
  };
}
