/** The gateway in Node: `node --max-semi-space-size=4 src/hosts/node.ts`, or `npm start`. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve as listen } from '@hono/node-server';
import { mostMs } from '../http/body.ts';
import { MAX_FILE } from '../jobs/limits.ts';
import { serve, urlOf } from './serve.ts';
import { openServer } from './server.ts';

await serve(openServer, async (gateway, settings) => {
  const server = listen({
    fetch: (request, { incoming }) => gateway.fetch(request, incoming.socket.remoteAddress ?? ''),
    port: settings.PORT,
    hostname: settings.HOST,
    // A Response of its own in place of Node's would be no Response to WebAssembly, and to every other library.
    overrideGlobalObjects: false,
  }) as Server;
  // Node's own limit of five minutes would end long uploads. Slow bodies are given up long before.
  server.requestTimeout = mostMs(MAX_FILE);
  // Longer than proxies keep a connection that they reuse, which is 60 seconds with most.
  server.keepAliveTimeout = 65_000;
  await new Promise<void>((resolve, reject) => server.once('listening', resolve).once('error', reject));
  return {
    url: urlOf(settings.HOST, (server.address() as AddressInfo).port),
    close: () =>
      new Promise((resolve) => {
        // A connection that has a request now becomes idle later, and would then be kept for its next request.
        const idle = setInterval(() => server.closeIdleConnections(), 50);
        server.close(() => {
          clearInterval(idle);
          resolve();
        });
      }),
  };
});
