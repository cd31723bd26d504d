/** One POST to a server that is not trusted: bounded time and size, and nothing goes to another server than the named one. */

/** A try that failed, and whether another one makes sense. */
export class FailedTry extends Error {
  readonly retry: boolean;
  readonly waitMs: number | undefined;
  /** What the user can do, where it is another thing than waiting. */
  readonly fix: string | undefined;

  constructor(
    message: string,
    retry: boolean,
    more: { readonly waitMs?: number | undefined; readonly fix?: string | undefined } = {},
  ) {
    super(message);
    this.retry = retry;
    this.waitMs = more.waitMs;
    this.fix = more.fix;
  }
}

/** What is sent, and its bounds. */
export interface Post {
  readonly url: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/** What came back. */
export interface PostReply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** A chat completion has some kilobytes; more than this, unpacked, is none. */
const MAX_BODY_BYTES = 16 * 2 ** 20;
const MAX_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Redirects after which the same question is asked again; the others turn it into a request for a page. */
const REPEATED: ReadonlySet<number> = new Set([307, 308]);

/** An address without its query, which may hold a key. */
export function shownAddress(url: string | URL): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}

/** Sends it. @throws FailedTry; whatever the signal was aborted with */
export async function post({ url, body, headers, signal, timeoutMs }: Post): Promise<PostReply> {
  const timeout = AbortSignal.timeout(timeoutMs);
  let address = new URL(url);
  try {
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const response = await fetch(address, {
        method: 'POST',
        headers,
        body,
        redirect: 'manual',
        signal: AbortSignal.any([signal, timeout]),
      });
      if (!REDIRECTS.has(response.status)) {
        return { status: response.status, headers: response.headers, text: await readBody(response, address) };
      }
      await response.body?.cancel();
      address = redirectTarget(response, address);
    }
  } catch (error) {
    if (signal.aborted || error instanceof FailedTry) throw error;
    const { cause, message } = error as Error;
    const why = timeout.aborted
      ? `no answer within ${timeoutMs / 1000} s`
      : cause instanceof Error && cause.message !== ''
        ? cause.message
        : message;
    throw new FailedTry(`${shownAddress(address)}: ${why}.`, true);
  }
  throw new FailedTry(`${shownAddress(url)} redirects more than ${MAX_REDIRECTS} times, perhaps in a circle.`, false, {
    fix: 'Check the address with --endpoint.',
  });
}

/** Where a redirect leads. @throws FailedTry for another server, and where the question would be lost on the way */
function redirectTarget(response: Response, from: URL): URL {
  const { status } = response;
  const location = response.headers.get('location') ?? '';
  if (!URL.canParse(location, from.href)) {
    throw new FailedTry(`${shownAddress(from)}: status ${status} without an address to go to.`, false);
  }
  const target = new URL(location, from);
  const where = `${shownAddress(from)} redirects to ${shownAddress(target)} (status ${status})`;
  const fix = `If that is the server you mean, give its address with --endpoint.`;
  if (!isSameServer(from, target)) {
    throw new FailedTry(`${where}: pictures and questions are not sent to another server.`, false, { fix });
  }
  if (!REPEATED.has(status)) throw new FailedTry(`${where}, where the question would not be asked.`, false, { fix });
  return target;
}

/** The same origin, or the same host by https in place of http. */
function isSameServer(from: URL, target: URL): boolean {
  const isUpgrade = from.protocol === 'http:' && target.protocol === 'https:' && from.port === '' && target.port === '';
  return from.origin === target.origin || (isUpgrade && from.hostname === target.hostname);
}

/** The body as text, as long as it stays within bounds. */
async function readBody(response: Response, address: URL): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let numBytes = 0;
  // Leaving the loop cancels the rest.
  for await (const part of response.body ?? []) {
    numBytes += part.length;
    if (numBytes > MAX_BODY_BYTES) {
      throw new FailedTry(
        `${shownAddress(address)}: the reply is longer than ${MAX_BODY_BYTES / 2 ** 20} MiB, so it is no chat completion.`,
        false,
        { fix: 'Check the address with --endpoint.' },
      );
    }
    text += decoder.decode(part, { stream: true });
  }
  return text + decoder.decode();
}
