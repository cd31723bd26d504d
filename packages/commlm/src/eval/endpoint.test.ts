// An endpoint: what is sent, retries, and failures that end the run with a sentence.
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import sharp from 'sharp';
import { EndpointRespondent } from './endpoint.js';
import type { AskedQuestion, Reply } from './respondent.js';

const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

interface Body {
  readonly model: string;
  readonly temperature: number;
  readonly max_tokens: number;
  readonly messages: readonly [
    {
      readonly content: readonly {
        readonly type: string;
        readonly text?: string;
        readonly image_url?: { url: string };
      }[];
    },
  ];
}

/** Starts a server; gives its address. */
async function serve(
  handle: (body: Body, response: ServerResponse, request: IncomingMessage) => void,
): Promise<string> {
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    request.on('end', () => handle(JSON.parse(text) as Body, response, request));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

const reply = (response: ServerResponse, content: unknown, reason = 'stop'): void => {
  response.end(JSON.stringify({ choices: [{ message: { content }, finish_reason: reason }] }));
};

const respondent = (url: string, more: object = {}): EndpointRespondent =>
  new EndpointRespondent({
    ...{ url, model: 'm', key: 'secret', maxNewTokens: 9, temperature: 0, topP: 1, seed: 0 },
    ...{ concurrency: 3, firstWaitMs: 1, maxTries: 3, ...more },
  });

async function collect(from: EndpointRespondent, questions: readonly AskedQuestion[]): Promise<Reply[]> {
  const replies: Reply[] = [];
  for await (const group of from.answer(questions)) replies.push(...group);
  return replies.sort((a, b) => a.index - b.index);
}

const texts = (n: number): AskedQuestion[] =>
  Array.from({ length: n }, (_, i) => ({ id: i, text: `question ${i}`, blind: false }));

const textOf = (body: Body): string => body.messages[0].content.at(-1)?.text ?? '';

test('questions go out as chat completions with pictures, and come back in any order', async () => {
  const bytes = await sharp({ create: { width: 6, height: 4, channels: 3, background: '#ff0000' } })
    .png()
    .toBuffer();
  const seen: Body[] = [];
  const url = await serve((body, response, request) => {
    assert.equal(request.url, '/v1/chat/completions');
    assert.equal(request.headers.authorization, 'Bearer secret');
    seen.push(body);
    setTimeout(() => reply(response, textOf(body).toUpperCase(), 'length'), textOf(body) === 'a' ? 20 : 0);
  });
  const picture = async (): Promise<Uint8Array> => bytes;
  const replies = await collect(respondent(url), [
    { id: 1, text: 'a', picture, blind: false },
    { id: 2, text: 'b', picture, blind: true },
    { id: 3, text: 'c', blind: false },
  ]);
  assert.deepEqual(
    replies,
    [0, 1, 2].map((index) => ({ index, answer: 'ABC'[index], finishReason: 'length' })),
  );
  const body = seen.find((each) => textOf(each) === 'a') as Body;
  assert.deepEqual([body.model, body.temperature, body.max_tokens], ['m', 0, 9]);
  assert.deepEqual(body.messages[0].content[0]?.image_url?.url, `data:image/png;base64,${bytes.toString('base64')}`);
  const grey = seen.find((each) => textOf(each) === 'b')?.messages[0].content[0]?.image_url?.url ?? '';
  const { data, info } = await sharp(Buffer.from(grey.split(',')[1] as string, 'base64'))
    .raw()
    .toBuffer({ resolveWithObject: true });
  assert.deepEqual([info.width, info.height, new Set(data)], [6, 4, new Set([128])]);
  assert.equal(seen.find((each) => textOf(each) === 'c')?.messages[0].content.length, 1);
});

test('busy servers and dropped connections are tried again', async () => {
  const tries = new Map<string, number>();
  const url = await serve((body, response) => {
    const count = (tries.get(textOf(body)) ?? 0) + 1;
    tries.set(textOf(body), count);
    if (count === 1) {
      if (textOf(body) === 'question 1') response.socket?.destroy();
      else response.writeHead(textOf(body) === 'question 0' ? 429 : 503).end('busy');
      return;
    }
    reply(response, 'yes');
  });
  const lines: string[] = [];
  const replies = await collect(respondent(url, { onRetry: (line: string) => lines.push(line) }), texts(3));
  assert.equal(replies.length, 3);
  assert.deepEqual([...tries.values()], [2, 2, 2]);
  assert.equal(lines.length, 3);
});

test('what cannot be answered ends the run with a sentence', async () => {
  const failing = async (handle: Parameters<typeof serve>[0], message: RegExp): Promise<void> => {
    const url = await serve(handle);
    await assert.rejects(collect(respondent(url), texts(2)), (error: Error) => message.test(error.message));
  };
  let numAsked = 0;
  await failing(
    (_, response) => response.writeHead(500).end('out of memory'),
    /after 3 tries: status 500: out of memory/,
  );
  await failing((_, response) => {
    numAsked++;
    response.writeHead(401).end('bad key');
  }, /question \d: status 401: bad key/);
  assert.ok(numAsked <= 2);
  await failing((_, response) => response.end('<html>'), /no chat completion: <html>/);
  await failing((_, response) => response.end('{"choices": []}'), /no chat completion/);
  const url = await serve(() => {}); // never answers
  await assert.rejects(collect(respondent(url, { timeoutMs: 20, maxTries: 2 }), texts(1)), /no answer within 0.02 s/);
  assert.throws(() => respondent('ftp://x'), /no http address/);
});

test('an answer without text is an empty one', async () => {
  const url = await serve((_, response) => reply(response, null));
  assert.deepEqual(await collect(respondent(url), texts(1)), [{ index: 0, answer: '', finishReason: 'stop' }]);
});
