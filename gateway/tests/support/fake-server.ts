/** A server that answers what a test says, and remembers what it was asked. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Json } from './models.ts';

export interface Asked {
  path: string;
  headers: IncomingHttpHeaders;
  body: Json;
  /** Resolves when the client has left before it was answered. */
  left: Promise<void>;
}

export type Reply = (asked: Asked, response: ServerResponse) => unknown;

export interface FakeServer {
  url: string;
  asked: Asked[];
  /** Its answers, one after the other; the last one stays. */
  replies: Reply[];
  [Symbol.asyncDispose](): Promise<void>;
}

export const json =
  (body: unknown, status = 200, headers: Record<string, string> = {}): Reply =>
  (_, response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

export async function fakeServer(...replies: Reply[]): Promise<FakeServer> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const { promise: left, resolve } = Promise.withResolvers<void>();
    response.on('close', () => !response.writableFinished && resolve());
    let text = '';
    for await (const piece of request) text += piece;
    const one = { path: request.url ?? '', headers: request.headers, body: text && JSON.parse(text), left };
    asked.push(one);
    const reply = self.replies.length > 1 ? self.replies.shift() : self.replies[0];
    await reply?.(one, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const self: FakeServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    replies,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return self;
}

/** Vectors of two values for each text of a request, as OpenAI's route has them. */
export const vectors: Reply = (asked, response) => {
  const data = (asked.body.input as string[]).map((text, index) => ({ index, embedding: [text.length, 0.5] }));
  return json({ object: 'list', data, usage: { prompt_tokens: 7, total_tokens: 7 } })(asked, response);
};
