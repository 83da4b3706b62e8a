/**
 * The Worker that the gateway is compared with. By its paths it embeds and does nothing else, embeds in a loop without a request around each
 * text, asks the limit of tries alone, or does nothing at all.
 */
import type { R2Bucket, RateLimit } from '@cloudflare/workers-types';
import { TextEmbedder } from 'pilotlight';
import { openFiles } from '../../src/models/local/files.ts';
import { R2Blobs } from '../../src/parts/r2.ts';

// wrangler's configuration, by which it is bundled as the gateway is, names them.
export { KeyMeter } from '../../src/parts/key-meter.ts';
export { Metrics } from '../../src/parts/metrics-object.ts';

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2';
let loading: Promise<TextEmbedder> | undefined;

async function load(bucket: R2Bucket): Promise<TextEmbedder> {
  const { files } = await openFiles(new R2Blobs(bucket), `models/${MODEL}/`, { dtype: 'q8', again: false });
  return TextEmbedder.load(MODEL, { files, store: false, device: 'cpu' });
}

export default {
  async fetch(request: Request, env: { R2: R2Bucket; AUTH_RL: RateLimit }): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === '/nothing') return new Response('');
    if (pathname === '/limit') return Response.json(await env.AUTH_RL.limit({ key: 'address' }));
    loading ??= load(env.R2);
    const embedder = await loading;
    if (pathname === '/loop') {
      const texts = (await request.json()) as string[];
      for (let round = 0; round < Number(searchParams.get('rounds')); round += 1) {
        for (const text of texts) await embedder.embed(text);
      }
      return new Response('');
    }
    const { input } = (await request.json()) as { input: string };
    const { data } = await embedder.embed(input);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return Response.json({ embedding: (bytes as Uint8Array & { toBase64(): string }).toBase64() });
  },
};
