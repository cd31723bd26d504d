/** An endpoint: what is sent, retries, and failures that end the run with a sentence. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
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
  const replies = await collect(respondent(url, { onNotice: (line: string) => lines.push(line) }), texts(3));
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
  await failing((_, response) => response.end('[]'), /no chat completion/);
  const url = await serve(() => {}); // never answers
  await assert.rejects(collect(respondent(url, { timeoutMs: 20, maxTries: 2 }), texts(1)), /no answer within 0.02 s/);
  assert.throws(() => respondent('ftp://x'), /no http address/);
});

const body = (message: object | null, finish_reason: unknown = 'stop'): object => ({
  choices: [{ index: 0, message, finish_reason }],
});
const said = (content: unknown): object => ({ role: 'assistant', content });

test('a reply that is no answer is named, and the others go on', async () => {
  const call = { id: 'c', type: 'function', function: { name: 'look', arguments: '{}' } };
  const replies: ReadonlyArray<readonly [reply: object, why: string]> = [
    [body(said(null)), 'no content'],
    [body(said('')), 'no content'],
    [body(said(' \n')), 'no content'],
    [body({ role: 'assistant' }), 'no content'],
    [body(said([])), 'no content'],
    [body({ ...said(null), reasoning_content: 'Hm. Yes' }, 'length'), 'no content before the longest length'],
    [body({ ...said(null), refusal: 'I cannot look at people.' }), 'refusal'],
    [body({ ...said('No.'), refusal: 'I cannot look at people.' }), 'refusal'],
    [body(said([{ type: 'refusal', refusal: 'No.' }])), 'refusal'],
    [body({ ...said(null), tool_calls: [call] }), 'tool calls'],
    [body({ ...said('Yes'), tool_calls: [call] }, 'tool_calls'), 'finish reason "tool_calls"'],
    [body(said(null), 'content_filter'), 'finish reason "content_filter"'],
    [body(said('Yes, the'), 'content_filter'), 'finish reason "content_filter"'],
    [body(said('Yes'), null), 'finish reason null'],
    [body(said('Yes'), ''), 'finish reason ""'],
    [body(said('Yes'), 'error'), 'finish reason "error"'],
    [body(said('Yes'), 'abort\u001b[2J'), 'finish reason "abort\\u001b[2J"'],
    [body(said('Yes'), 7), 'no finish reason'],
    [{ choices: [{ message: said('Yes') }] }, 'no finish reason'],
    [{ choices: [] }, 'no choices'],
    [{ choices: null }, 'no choices'],
    [{ choices: ['Yes'] }, 'no choices'],
    [body(null), 'no message'],
    [{ error: { code: 'content_policy_violation', message: 'No.' } }, 'error content_policy_violation'],
    [{ error: 'out of memory' }, 'error'],
    [{ ...body(said('Yes')), error: { message: 'cut off' } }, 'error'],
    [{ object: 'error', message: 'too long', code: 40303 }, 'error 40303'],
    [{ detail: 'no such field' }, 'error'],
    [{ choices: [{ error: { code: 400, message: 'x' }, message: said('Yes') }] }, 'error 400'],
  ];
  // An answered one in front: where nothing at all is answered, the run ends.
  const all = [body(said('Yes')), ...replies.map(([reply]) => reply)];
  const url = await serve((request, response) => {
    response.end(JSON.stringify(all[Number(textOf(request).split(' ')[1])]));
  });
  const notices: string[] = [];
  const got = await collect(
    respondent(url, { concurrency: 1, onNotice: (line: string) => notices.push(line) }),
    texts(all.length),
  );
  assert.deepEqual(got[0], { index: 0, answer: 'Yes', finishReason: 'stop' });
  for (const [i, [reply, why]] of replies.entries()) {
    const expected = { index: i + 1, answer: '', finishReason: 'none', unanswered: why };
    assert.deepEqual(got[i + 1], expected, JSON.stringify(reply));
  }
  // Each reason is told once.
  assert.equal(notices.length, new Set(replies.map(([, why]) => why)).size);
});

test('an answer in parts is one answer', async () => {
  const parts = [
    { type: 'thinking', thinking: [{ type: 'text', text: 'no' }] },
    { type: 'text', text: 'Ye' },
    { type: 'text', text: 's' },
  ];
  const url = await serve((_, response) => reply(response, parts));
  assert.deepEqual(await collect(respondent(url), texts(1)), [{ index: 0, answer: 'Yes', finishReason: 'stop' }]);
});

test('an error with status 200 is tried again where that may help, and counted in the end', async () => {
  const busy = { error: { code: 429, message: 'rate limited upstream' } };
  let count = 0;
  const url = await serve((request, response) => {
    const isSecond = textOf(request) === 'question 1';
    response.end(JSON.stringify(isSecond || count++ === 0 ? busy : body(said('No'))));
  });
  const replies = await collect(respondent(url, { concurrency: 1 }), texts(2));
  assert.deepEqual(
    replies.map(({ answer, unanswered }) => [answer, unanswered]),
    [
      ['No', undefined],
      ['', 'error 429'],
    ],
  );
  const denied = await serve((_, response) => response.end('{"error": {"code": 401, "message": "bad key"}}'));
  await assert.rejects(collect(respondent(denied), texts(1)), /error 401 in a reply of status 200: bad key/);
});

test('what a status tells about key, address or model is said in place of asking again', async () => {
  for (const [status, fix] of [
    [401, /--endpoint-key-env/],
    [403, /--endpoint-key-env/],
    [404, /--endpoint-model/],
  ] as const) {
    const server = await serve((_, response) => response.writeHead(status).end('no'));
    await assert.rejects(collect(respondent(server), texts(1)), { code: 'eval/endpoint', fix });
  }
});

test('of several choices the first by its index is the answer', async () => {
  const choice = (index: number, content: string): object => ({ index, message: { content }, finish_reason: 'stop' });
  const choices = [choice(1, 'second'), choice(0, 'first')];
  const server = await serve((_, response) => response.end(JSON.stringify({ choices })));
  const replies = await collect(respondent(server), texts(1));
  assert.equal(replies[0]?.answer, 'first');
});

test('a picture that a filter refuses is one question', async () => {
  const url = await serve((request, response) => {
    if (textOf(request) === 'question 1') response.writeHead(400).end('{"error": {"code": "content_filter"}}');
    else reply(response, 'Yes');
  });
  const replies = await collect(respondent(url), texts(3));
  assert.deepEqual(
    replies.map(({ unanswered }) => unanswered),
    [undefined, 'status 400', undefined],
  );
});

test('a reply without end is given up, packed or not, with any status', async () => {
  const part = Buffer.alloc(2 ** 20, 'x');
  let numSent = 0;
  const endless = (response: ServerResponse): void => {
    const send = (): void => {
      while (!response.destroyed && response.write(part)) numSent++;
      if (!response.destroyed) response.once('drain', send);
    };
    send();
  };
  const limit = /the reply is longer than 16 MiB/;
  for (const status of [200, 500]) {
    const url = await serve((_, response) => endless(response.writeHead(status)));
    await assert.rejects(collect(respondent(url), texts(1)), limit);
  }
  const bomb = gzipSync(Buffer.alloc(64 * 2 ** 20, 'x'));
  const packed = await serve((_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb));
  await assert.rejects(collect(respondent(packed), texts(1)), limit);
  const announced = await serve((_, response) => endless(response.writeHead(200, { 'content-length': 4e9 })));
  await assert.rejects(collect(respondent(announced), texts(1)), limit);
  assert.ok(numSent < 200, `${numSent} MiB were taken`);
});

test('redirects lead to the same server alone, and with the question', async () => {
  const taken: string[] = [];
  const other = await serve((request, response, { method }) => {
    taken.push(`${method} ${textOf(request)}`);
    reply(response, 'Yes');
  });
  const redirecting = (status: number, to: (from: string) => string): Promise<string> =>
    serve((_, response, request) => {
      if (request.url?.startsWith('/v2') === true) reply(response, 'No');
      else response.writeHead(status, { location: to(`http://${request.headers.host}`) }).end();
    });
  for (const status of [301, 302, 303, 307, 308]) {
    const away = await redirecting(status, () => `${other}/chat/completions?key=secret`);
    await assert.rejects(collect(respondent(away), texts(1)), (error: Error) => {
      assert.match(
        error.message,
        /redirects to http:.*\/v1\/chat\/completions \(status \d+\): pictures and questions are not sent/,
      );
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  }
  assert.deepEqual(taken, []);
  const near = await redirecting(307, () => '/v2/chat');
  assert.equal((await collect(respondent(near), texts(1)))[0]?.answer, 'No');
  const asPage = await redirecting(302, () => '/v2/chat');
  await assert.rejects(collect(respondent(asPage), texts(1)), /where the question would not be asked/);
  let hops = 0;
  const circle = await redirecting(308, () => `/v1/${hops++}`);
  await assert.rejects(collect(respondent(circle), texts(1)), /redirects more than 5 times/);
  assert.equal(hops, 6);
});

test('an address keeps its query and shows none of it; passwords are refused', async () => {
  const url = await serve((_, response, request) => {
    if (request.url === '/v1/chat/completions?api-version=7') reply(response, 'Yes');
    else response.socket?.destroy();
  });
  assert.equal((await collect(respondent(`${url}/?api-version=7`), texts(1)))[0]?.answer, 'Yes');
  await assert.rejects(
    collect(respondent(`${url}?api-key=secret`), texts(1)),
    (error: Error) => !/secret/.test(error.message),
  );
  assert.throws(
    () => respondent('http://user:secret@localhost/v1'),
    (error: Error) => !/secret/.test(error.message),
  );
});

test('a run that is interrupted while it waits to ask again ends with the reason of the signal', async () => {
  const url = await serve((_, response) => {
    response.writeHead(503, { 'retry-after': '30' });
    response.end('busy');
  });
  const stop = new AbortController();
  const reason = new Error('Interrupted.');
  const from = respondent(url, { onNotice: () => setImmediate(() => stop.abort(reason)) });
  const replies = from.answer([{ id: 'a', text: 'What?', blind: false }], stop.signal);
  await assert.rejects(replies.next(), (error) => error === reason);
});
