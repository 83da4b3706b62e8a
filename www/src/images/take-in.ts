import type { ImageTextEmbedder } from 'pilotlight';
import type { Library } from './library';
import { miniatures } from './miniature';
import type { Source } from './sources';

/** The formats that Pilotlight decodes itself; the browser may know more. */
const OWN = /^image\/(png|jpeg|webp|gif)$/;

/**
 * Embeds an image and adds it to the library. Returns the milliseconds that the model took.
 * A call that is aborted throws and adds nothing.
 */
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

/** Whether an error leaves the model unusable, and not just one image out. */
export function isFatal(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    ['INTERNAL', 'DISPOSED', 'BACKEND_UNAVAILABLE'].includes(String(error.code))
  );
}

/** The reason why an image could not be added, as a sentence. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message.replace(/^images\[\d+\]: /, '') : String(error);
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}`.replace(/\.?$/, '.');
}
