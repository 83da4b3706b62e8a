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
