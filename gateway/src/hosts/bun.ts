/** The gateway in Bun: `bun src/hosts/bun.ts`. */
import { serve, urlOf } from './serve.ts';
import { openServer } from './server.ts';

/** The part of Bun's own types that is used here; other runtimes do not have them. */
interface BunServer {
  port: number;
  requestIP(request: Request): { address: string } | null;
  stop(closeActive?: boolean): Promise<void>;
}
declare const Bun: {
  serve(options: {
    hostname: string;
    port: number;
    idleTimeout: number;
    fetch(request: Request, server: BunServer): Promise<Response>;
  }): BunServer;
};

await serve(openServer, async (gateway, settings) => {
  const server = Bun.serve({
    hostname: settings.HOST,
    port: settings.PORT,
    // The most that Bun has, in seconds. Its default of 10 would end a request whose answer takes longer.
    idleTimeout: 255,
    fetch: (request, self) => gateway.fetch(request, self.requestIP(request)?.address ?? ''),
  });
  return { url: urlOf(settings.HOST, server.port), close: () => server.stop() };
});
