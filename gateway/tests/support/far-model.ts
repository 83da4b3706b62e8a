/** Gateways whose one model is on a fake server. */
import type { FakeServer } from './fake-server.ts';
import { type Json, type ModelHost, modelHost } from './models.ts';

export const SECRET = 'sk-canary-of-the-upstream';

interface Options {
  kind?: string;
  upstream?: object;
  model?: object;
}

/** A gateway with one model on a server. */
export async function over(
  server: Pick<FakeServer, 'url'>,
  { kind = 'openai', upstream, model }: Options = {},
): Promise<ModelHost> {
  const host = await modelHost({
    models: { far: { task: 'embed', run: 'upstream', upstream: 'server', ...model } },
    upstreams: { server: { kind, url: `${server.url}/v1`, secret: 'KEY', timeout_ms: 3000, ...upstream } },
  });
  host.secrets.set('KEY', SECRET);
  return host;
}

/** Asks the model for vectors. */
export const ask = (host: ModelHost, input: unknown = ['a', 'bcd'], more: object = {}) =>
  host.post('/v1/embeddings', { model: 'far', input, ...more });

export const codeOf = ({ status, json }: { status: number; json: Json }): [number, string] => [
  status,
  json.error?.code,
];
