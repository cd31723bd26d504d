/**
 * For tests: a hub on 127.0.0.1 that speaks the real one's protocol, with a storage host of its own and faults on demand.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A file of a repository; `lfs` files come by a redirect to the storage host, named by their sha256. */
export interface HostedFile {
  readonly content: Buffer;
  readonly lfs: boolean;
}

/** One model on the hub. */
export interface HostedModel {
  readonly commit: string;
  readonly refs: readonly string[];
  readonly files: ReadonlyMap<string, HostedFile>;
  readonly access?: 'open' | 'private' | 'gated';
}

/** A request as the hub saw it. */
export interface SeenRequest {
  readonly host: 'hub' | 'storage';
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** What a fault does with a request: true when it answered in the hub's place. */
export type Fault = (request: SeenRequest, response: ServerResponse, file?: HostedFile) => boolean;

/** git's hash of a file's content. */
export const gitHash = (content: Buffer): string =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');

/** sha256 of a content in hex. */
export const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex');

/** A running hub; `stop` ends it. */
export class LocalHub {
  readonly models = new Map<string, HostedModel>();
  readonly seen: SeenRequest[] = [];
  readonly token = 'hf_right';
  /** Entries on a page of a listing. */
  pageSize = 1000;
  fault: Fault | undefined;
  readonly #hub: Server;
  readonly #storage: Server;

  private constructor() {
    this.#hub = createServer((request, response) => this.#onHub(request, response));
    this.#storage = createServer((request, response) => this.#onStorage(request, response));
  }

  /** Starts on two free ports. */
  static async start(): Promise<LocalHub> {
    const hub = new LocalHub();
    for (const server of [hub.#hub, hub.#storage]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
    return hub;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  get storage(): string {
    return `http://127.0.0.1:${(this.#storage.address() as AddressInfo).port}`;
  }

  /** Ends both servers and every connection. */
  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  /** Requests for the content of files. */
  get downloads(): SeenRequest[] {
    return this.seen.filter(({ method, path }) => method === 'GET' && /\/resolve\/|^\/blob\//.test(path));
  }

  #note(host: 'hub' | 'storage', request: IncomingMessage): SeenRequest {
    const seen: SeenRequest = {
      host,
      method: request.method ?? '',
      path: request.url ?? '',
      range: request.headers.range,
      authorization: request.headers.authorization,
    };
    this.seen.push(seen);
    return seen;
  }

  #onHub(request: IncomingMessage, response: ServerResponse): void {
    const seen = this.#note('hub', request);
    const url = new URL(seen.path, this.endpoint);
    const match = /^\/(?:api\/models\/)?([^/]+\/[^/]+)\/(revision|tree|resolve)\/([^/]+)(?:\/(.*))?$/.exec(
      url.pathname,
    );
    const model = this.models.get(match?.[1] ?? '');
    const file = model?.files.get(decodeURIComponent(match?.[4] ?? ''));
    if (this.fault?.(seen, response, file)) return;
    const loggedIn = seen.authorization === `Bearer ${this.token}`;
    if (seen.authorization !== undefined && !loggedIn) {
      refuse(response, 401, undefined, 'Invalid credentials in Authorization header');
      return;
    }
    if (match === null || model === undefined || (model.access === 'private' && !loggedIn)) {
      refuse(response, loggedIn ? 404 : 401, 'RepoNotFound', 'Repository not found');
      return;
    }
    const [, name = '', kind, asked = ''] = match;
    const revision = decodeURIComponent(asked);
    if (revision !== model.commit && !model.refs.includes(revision)) {
      refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${revision}`);
      return;
    }
    if (kind === 'revision') {
      json(response, { id: name, sha: model.commit });
      return;
    }
    if (kind === 'tree') {
      this.#list(response, url, model);
      return;
    }
    if (model.access === 'gated' && !loggedIn) {
      refuse(response, 401, 'GatedRepo', `Access to model ${name} is restricted.`);
      return;
    }
    if (file === undefined) {
      refuse(response, 404, 'EntryNotFound', 'Entry not found');
      return;
    }
    response.setHeader('x-repo-commit', model.commit);
    if (!file.lfs) {
      sendFile(seen, response, file, gitHash(file.content));
      return;
    }
    const hash = sha256(file.content);
    response.setHeader('x-linked-etag', `"${hash}"`).setHeader('x-linked-size', file.content.length);
    response.writeHead(302, { location: `${this.storage}/blob/${hash}?signature=s` }).end();
  }

  #list(response: ServerResponse, url: URL, model: HostedModel): void {
    const start = Number(url.searchParams.get('cursor') ?? 0);
    const end = start + this.pageSize;
    const entries = [...model.files].map(([path, { content, lfs }]) => ({
      type: 'file',
      path,
      size: content.length,
      oid: gitHash(lfs ? Buffer.from(`pointer to ${sha256(content)}`) : content),
      ...(lfs ? { lfs: { oid: sha256(content), size: content.length, pointerSize: 134 } } : {}),
    }));
    const folders = [
      ...new Set([...model.files.keys()].filter((path) => path.includes('/')).map((p) => p.split('/')[0])),
    ];
    const all = [...folders.map((path) => ({ type: 'directory', path, oid: '0'.repeat(40), size: 0 })), ...entries];
    if (end < all.length) {
      const next = new URL(url);
      next.searchParams.set('cursor', String(end));
      // As mirrors do it: the address of the first hub, which nobody may contact.
      next.port = '1';
      response.setHeader('link', `<${next.href}>; rel="next"`);
    }
    json(response, all.slice(start, end));
  }

  #onStorage(request: IncomingMessage, response: ServerResponse): void {
    const seen = this.#note('storage', request);
    const hash = /^\/blob\/([0-9a-f]+)/.exec(seen.path)?.[1] ?? '';
    const file = [...this.models.values()]
      .flatMap((model) => [...model.files.values()])
      .find(({ content, lfs }) => lfs && sha256(content) === hash);
    if (this.fault?.(seen, response, file)) return;
    if (file === undefined) {
      refuse(response, 404);
      return;
    }
    sendFile(seen, response, file, hash);
  }
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

/** An error as the hub sends it. */
export function refuse(response: ServerResponse, status: number, code?: string, message?: string): void {
  if (code !== undefined) response.setHeader('x-error-code', code);
  if (message !== undefined) response.setHeader('x-error-message', message);
  response.writeHead(status).end();
}

/** First byte that a `Range` header asks for. */
export const rangeStart = (range: string | undefined): number => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);

/** A file or the part of it that was asked for. */
export function sendFile(seen: SeenRequest, response: ServerResponse, { content }: HostedFile, etag: string): void {
  const start = rangeStart(seen.range);
  const size = content.length;
  response.setHeader('etag', `"${etag}"`).setHeader('accept-ranges', 'bytes');
  if (seen.range !== undefined && start >= size) {
    response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
    return;
  }
  response.setHeader('content-length', size - start);
  if (seen.range !== undefined) response.setHeader('content-range', `bytes ${start}-${size - 1}/${size}`);
  response.writeHead(seen.range === undefined ? 200 : 206);
  response.end(seen.method === 'HEAD' ? undefined : content.subarray(start));
}
