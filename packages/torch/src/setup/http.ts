/** GET over HTTP(S), through a proxy where one is set: Node's own `fetch` takes one from the environment in new versions alone. */
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import type { Socket } from 'node:net';
import { connect as connectSecure, rootCertificates } from 'node:tls';

/** How requests are made. */
export interface HttpSettings {
  /** Proxy to use for every host; by default what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say. */
  readonly proxy: string | undefined;
  /** File with certificates to trust beside Node's own. */
  readonly cert: string | undefined;
}

/** An answer whose body is still to be read. */
export interface Reply {
  readonly status: number;
  readonly url: URL;
  readonly header: (name: string) => string | undefined;
  readonly body: IncomingMessage;
}

const MAX_REDIRECTS = 5;
/** A server that is silent for so long is gone. */
const SILENCE_MS = 60_000;

/** The proxy for an address, or undefined. */
export function proxyFor(url: URL, env: NodeJS.ProcessEnv = process.env): URL | undefined {
  const variable = (name: string): string | undefined =>
    env[name.toLowerCase()] || env[name.toUpperCase()] || undefined;
  const proxy = variable(url.protocol === 'https:' ? 'https_proxy' : 'http_proxy') ?? variable('all_proxy');
  if (proxy === undefined) return undefined;
  const exempt = (variable('no_proxy') ?? '').split(/[\s,]+/).filter(Boolean);
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const isExempt = exempt.some((entry) => {
    const name = entry
      .toLowerCase()
      .replace(/^\*?\./, '')
      .replace(/:\d+$/, '');
    return name === '*' || host === name || host.endsWith(`.${name}`);
  });
  return isExempt ? undefined : parseProxy(proxy);
}

const parseProxy = (text: string): URL => new URL(/^\w+:\/\//.test(text) ? text : `http://${text}`);

/** The header that carries the user and password of an address. */
function credentials(url: URL, header: string): Record<string, string> {
  if (url.username === '') return {};
  const plain = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { [header]: `Basic ${Buffer.from(plain).toString('base64')}` };
}

/** An address without user and password, for people. */
export function withoutPassword(url: URL | string): string {
  const shown = new URL(url);
  shown.username = '';
  shown.password = '';
  return shown.href;
}

/** Asks a proxy for a connection to a host. */
function tunnel(proxy: URL, url: URL, signal: AbortSignal | undefined): Promise<Socket> {
  return new Promise((fulfil, reject) => {
    const path = `${url.hostname}:${url.port || 443}`;
    const ask = proxy.protocol === 'https:' ? requestSecure : requestPlain;
    const asking = ask({
      host: proxy.hostname,
      port: proxy.port || (proxy.protocol === 'https:' ? 443 : 80),
      method: 'CONNECT',
      path,
      headers: { host: path, ...credentials(proxy, 'proxy-authorization') },
      signal,
    });
    asking.setTimeout(SILENCE_MS, () => asking.destroy(new Error('the proxy does not answer')));
    asking.on('connect', ({ statusCode }, socket) => {
      if (statusCode === 200) fulfil(socket as Socket);
      else {
        socket.destroy();
        reject(new Error(`the proxy ${proxy.host} answered ${statusCode}`));
      }
    });
    asking.on('error', reject);
    asking.end();
  });
}

async function requestOnce(
  url: URL,
  { proxy, cert }: HttpSettings,
  headers: Record<string, string>,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  const via = proxy === undefined ? proxyFor(url) : parseProxy(proxy);
  const all = { ...headers, host: url.host, ...credentials(url, 'authorization') };
  const ca = cert === undefined ? undefined : [...rootCertificates, readFileSync(cert, 'utf8')];
  const secure = url.protocol === 'https:';
  const socket = via !== undefined && secure ? await tunnel(via, url, signal) : undefined;
  return await new Promise((fulfil, reject) => {
    const common = { headers: all, signal, agent: false as const };
    const path = `${url.pathname}${url.search}`;
    const asking = secure
      ? requestSecure({
          ...common,
          ...{ host: url.hostname, port: url.port || 443, path, ca },
          ...(socket && { createConnection: () => connectSecure({ socket, servername: url.hostname, ca }) }),
        })
      : via === undefined
        ? requestPlain({ ...common, host: url.hostname, port: url.port || 80, path })
        : requestPlain({
            ...common,
            ...{ host: via.hostname, port: via.port || 80, path: withoutPassword(url) },
            headers: { ...all, ...credentials(via, 'proxy-authorization') },
          });
    asking.setTimeout(SILENCE_MS, () => asking.destroy(new Error(`${url.host} does not answer`)));
    asking.on('response', fulfil);
    asking.on('error', reject);
    asking.end();
  });
}

/** Follows redirects to an answer. @throws what the connection throws; an answer of any status is no error. */
export async function get(
  url: URL,
  settings: HttpSettings,
  {
    headers = {},
    signal,
  }: { readonly headers?: Record<string, string>; readonly signal?: AbortSignal | undefined } = {},
): Promise<Reply> {
  let target = url;
  for (let hops = 0; ; hops++) {
    const body = await requestOnce(target, settings, { 'user-agent': 'commlm-torch', ...headers }, signal);
    const status = body.statusCode ?? 0;
    const next = body.headers.location;
    if (next === undefined || status < 300 || status >= 400) {
      const header = (name: string): string | undefined => {
        const value = body.headers[name];
        return Array.isArray(value) ? value[0] : value;
      };
      return { status, url: target, header, body };
    }
    body.resume();
    if (hops === MAX_REDIRECTS) throw new Error(`${url.host} redirects without end`);
    const redirected = new URL(next, target);
    if (target.protocol === 'https:' && redirected.protocol !== 'https:') {
      throw new Error(`${target.host} redirects from https to ${redirected.protocol}//`);
    }
    target = redirected;
  }
}

/** The whole body of an answer as text. @throws for another status than 200, or a body of more than `limit` bytes. */
export async function readText({ status, url, body }: Reply, limit: number): Promise<string> {
  if (status !== 200) {
    body.destroy();
    throw new Error(`${url.host} answered ${status}`);
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw new Error(`${url.host} sent more than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
