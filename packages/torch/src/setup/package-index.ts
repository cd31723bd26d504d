/** Finding a wheel where pip would: folders and pages of links, then package indexes (the simple API, as JSON or HTML). */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { get, type HttpSettings, readText, withoutPassword } from './http.js';
import type { PipSettings } from './pip-settings.js';
import type { KnownWheel } from './wheels.js';

/** A wheel with its address: `file:`, `http:` or `https:`. */
export interface LocatedWheel {
  readonly wheel: KnownWheel;
  readonly url: URL;
}

/** A page that lists every version of torch for every platform has about 2 MB. */
const MAX_PAGE_BYTES = 64 * 2 ** 20;
const ACCEPT = 'application/vnd.pypi.simple.v1+json, text/html;q=0.5';

/** File names with their addresses, from an index's page in JSON (PEP 691) or HTML (PEP 503). */
export function readLinks(text: string, base: URL): Map<string, URL> {
  const links = new Map<string, URL>();
  const add = (name: string, href: string): void => {
    if (!URL.canParse(href, base.href)) return;
    const url = new URL(href, base);
    // It would be taken for a checksum to be trusted; ours is the table's.
    url.hash = '';
    links.set(name, url);
  };
  if (text.trimStart().startsWith('{')) {
    const { files = [] } = JSON.parse(text) as { files?: { filename: string; url: string }[] };
    for (const { filename, url } of files) add(filename, url);
    return links;
  }
  for (const [, href = ''] of text.matchAll(/<a\b[^>]*?\bhref\s*=\s*["']([^"']+)["']/gi)) {
    const plain = href.replaceAll('&amp;', '&');
    const name = plain.split('#')[0]!.split('?')[0]!.split('/').at(-1)!;
    try {
      add(decodeURIComponent(name), plain);
    } catch {
      // Not a name of a file.
    }
  }
  return links;
}

/** An address or a path as a URL. */
const toUrl = (place: string): URL =>
  /^(https?|file):/i.test(place)
    ? new URL(place)
    : pathToFileURL(resolve(place.replace(/^~(?=\/)/, process.env.HOME ?? '~')));

/** A folder's files among those that are wanted. */
function inFolder(folder: string, wheels: readonly KnownWheel[]): LocatedWheel | undefined {
  const wheel = wheels.find(({ name }) => existsSync(join(folder, name)));
  return wheel && { wheel, url: pathToFileURL(join(folder, wheel.name)) };
}

/**
 * Looks for one of the wheels, the first named being the most wanted, place by place. Resolves to undefined when none has
 * one; `failed(text)` hears why a place did not answer.
 */
export async function locateWheel(
  wheels: readonly KnownWheel[],
  { findLinks, indexes, noIndex }: PipSettings,
  http: HttpSettings,
  {
    fallbackIndex,
    failed,
    signal,
  }: {
    readonly fallbackIndex: string;
    readonly failed: (text: string) => void;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<LocatedWheel | undefined> {
  const onPage = async (page: URL): Promise<LocatedWheel | undefined> => {
    const reply = await get(page, http, { headers: { accept: ACCEPT }, signal });
    // What one host is given is not for the next one: addresses without a user of their own carry none.
    const links = readLinks(await readText(reply, MAX_PAGE_BYTES), reply.url);
    const wheel = wheels.find(({ name }) => links.has(name));
    if (wheel === undefined) return undefined;
    const url = links.get(wheel.name)!;
    if (url.host === page.host && url.username === '') {
      url.username = page.username;
      url.password = page.password;
    }
    return { wheel, url };
  };
  const places = [
    ...findLinks.map(toUrl),
    ...[...indexes, ...(noIndex ? [] : [fallbackIndex])].map((index) => toUrl(`${index.replace(/\/*$/, '')}/torch/`)),
  ];
  for (const place of places) {
    try {
      const found = place.protocol === 'file:' ? inFolder(fileURLToPath(place), wheels) : await onPage(place);
      if (found !== undefined) return found;
    } catch (error) {
      if (signal?.aborted) throw error;
      failed(`${withoutPassword(place)}: ${(error as Error).message}`);
    }
  }
  return undefined;
}
