/**
 * What a server's reply says: an answer, or why there is none. A reply without an answer looks like one to a scorer (an empty
 * text reads as "yes" in POPE), so everything that is not plainly an answer is named here and never scored.
 */

/** How much of a server's words a message repeats. */
const SHOWN_CHARACTERS = 200;

/** A server's words on one line of bounded length. */
export function shorten(text: string): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, SHOWN_CHARACTERS);
}

/** What a reply says. */
export type Completion =
  | { readonly kind: 'answer'; readonly answer: string; readonly finishReason: 'stop' | 'length' }
  /** `why` is the same text for all replies of a kind, so that they can be counted; `said` are the server's own words. */
  | { readonly kind: 'none'; readonly why: string; readonly said?: string }
  /** An error in place of a completion; `status` is what it would have been as an HTTP status, where it says. */
  | { readonly kind: 'error'; readonly why: string; readonly said: string; readonly status?: number | undefined }
  /** No chat completion at all: another kind of server. */
  | { readonly kind: 'foreign' };

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Kinds of error that servers name in words, as the status that they send for them otherwise. */
const NAMED_STATUS: ReadonlyArray<readonly [name: RegExp, status: number]> = [
  [/rate.?limit|too.?many|quota|throttl/i, 429],
  [/overload|unavailable|capacity/i, 503],
  [/time.?d?.?out/i, 504],
  [/internal|server.?error|upstream|bad.?gateway/i, 500],
];

function readError(error: unknown): Completion {
  if (!isObject(error)) return { kind: 'error', why: 'error', said: shorten(String(error)) };
  const { code, type, message, status } = error;
  const names = [code, type, status].filter((name) => typeof name === 'string' || typeof name === 'number').map(String);
  const number = names.map(Number).find((each) => Number.isInteger(each) && each >= 400 && each < 600);
  const named = NAMED_STATUS.find(([pattern]) => names.some((name) => pattern.test(name)))?.[1];
  const found = number ?? named;
  return {
    kind: 'error',
    why: names[0] === undefined ? 'error' : `error ${shorten(names[0])}`,
    said: shorten(typeof message === 'string' ? message : JSON.stringify(message ?? error)),
    status: found,
  };
}

/** The text of a message: a text, or the texts of its parts. */
function contentOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((part) => (isObject(part) && part['type'] === 'text' && typeof part['text'] === 'string' ? part['text'] : ''))
    .join('');
}

const isFilled = (value: unknown): boolean => (Array.isArray(value) ? value.length > 0 : isObject(value));

/** Reads the body of a reply of status 200. */
export function readCompletion(text: string): Completion {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { kind: 'foreign' };
  }
  if (!isObject(body)) return { kind: 'foreign' };
  const { error, choices } = body;
  if (error !== undefined && error !== null) return readError(error);
  if (choices === undefined) {
    const { code, type, message, detail } = body;
    const said = message ?? detail;
    return said === undefined ? { kind: 'foreign' } : readError({ code, type, message: said });
  }
  const all: readonly unknown[] = Array.isArray(choices) ? choices : [];
  // One was asked for; a server that sends more may send them in any order.
  const choice = all.find((each) => isObject(each) && each['index'] === 0) ?? all[0];
  if (!isObject(choice)) return { kind: 'none', why: 'no choices' };
  if (choice['error'] !== undefined && choice['error'] !== null) return readError(choice['error']);
  return readChoice(choice);
}

function readChoice({ message, finish_reason: reason }: Fields): Completion {
  if (!isObject(message)) return { kind: 'none', why: 'no message' };
  const { content, refusal, tool_calls: toolCalls, function_call: functionCall } = message;
  if (typeof refusal === 'string' && refusal.trim() !== '') {
    return { kind: 'none', why: 'refusal', said: shorten(refusal) };
  }
  const refused = Array.isArray(content)
    ? content.find((part) => isObject(part) && part['type'] === 'refusal')
    : undefined;
  if (refused !== undefined) return { kind: 'none', why: 'refusal', said: shorten(JSON.stringify(refused)) };
  if (reason !== 'stop' && reason !== 'length') {
    const name = typeof reason === 'string' ? JSON.stringify(shorten(reason)) : reason === null ? 'null' : undefined;
    return { kind: 'none', why: name === undefined ? 'no finish reason' : `finish reason ${name}` };
  }
  const answer = contentOf(content);
  if (answer.trim() !== '') return { kind: 'answer', answer, finishReason: reason };
  if (isFilled(toolCalls) || isFilled(functionCall)) return { kind: 'none', why: 'tool calls' };
  return { kind: 'none', why: reason === 'length' ? 'no content before the longest length' : 'no content' };
}
