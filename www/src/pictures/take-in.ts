import type { ImageTextEmbedder } from 'pilotlight';
import type { Library } from './library';
import { miniatures } from './miniature';
import type { Source } from './sources';

/** What Pilotlight decodes itself; the browser may know more. */
const OWN = /^image\/(png|jpeg|webp|gif)$/;

/** Embeds a picture and puts it into the library; what is aborted throws and leaves nothing there. Gives the milliseconds that the model took. */
export async function takeIn(
  { id, name, read, kept }: Source,
  library: Library,
  embedder: ImageTextEmbedder,
  signal: AbortSignal,
): Promise<number> {
  const file = await read();
  const started = performance.now();
  const { data } = await embedder.embedImages(file, {
    signal,
    decoder: OWN.test(file.type) ? 'pilotlight' : 'browser',
  });
  const ms = performance.now() - started;
  const { thumb, preview, width, height } = kept ?? (await miniatures(file));
  await library.add(
    { id, name, vector: Float32Array.from(data), thumb, preview, width, height },
    kept !== undefined,
    signal,
  );
  return ms;
}

/** Whether the model is lost, and not just the picture. */
export function isFatal(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    ['INTERNAL', 'DISPOSED', 'BACKEND_UNAVAILABLE'].includes(String(error.code))
  );
}

/** Why a picture could not be taken in, as a sentence. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message.replace(/^images\[\d+\]: /, '') : String(error);
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}`.replace(/\.?$/, '.');
}
