/** The gateway in Deno: `deno run --unstable-no-legacy-abort --allow-net --allow-read --allow-write --allow-env --allow-sys src/hosts/deno.ts`. */
import { serve, urlOf } from './serve.ts';
import { openServer } from './server.ts';

/** The part of Deno's own types that is used here; other runtimes do not have them. */
interface DenoServer {
  addr: { port: number };
  shutdown(): Promise<void>;
}
declare const Deno: {
  serve(
    options: { hostname: string; port: number; onListen(): void },
    handler: (request: Request, info: { remoteAddr: { hostname: string } }) => Promise<Response>,
  ): DenoServer;
};

await serve(openServer, async (gateway, settings) => {
  const server = Deno.serve({ hostname: settings.HOST, port: settings.PORT, onListen() {} }, (request, info) =>
    gateway.fetch(request, info.remoteAddr.hostname),
  );
  return { url: urlOf(settings.HOST, server.addr.port), close: () => server.shutdown() };
});
