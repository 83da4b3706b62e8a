/** The image tower of CLIP and SigLIP. */
import { ImageTextEmbedder } from 'pilotlight';
import type { Loaded, LoadRequest } from './loader.ts';

/** An image takes one slice of about so many tokens of MiniLM. */
const IMAGE_TOKENS = 256;

export async function loadImages({ repository, options, compute }: LoadRequest): Promise<Loaded> {
  const embedder = await ImageTextEmbedder.load(repository, { ...options, towers: ['image'] });
  const { dimensions: width } = embedder;
  return {
    dimensions: width,
    calls: {
      async embedImages(images, { dimensions }, { signal }) {
        const call = { signal, ...(dimensions !== undefined && { dimensions }) };
        const columns = dimensions ?? width;
        const data = new Float32Array(images.length * columns);
        for (const [index, image] of images.entries()) {
          // Errors name an image by its place in the call, which has one: this is its place in the request.
          const { data: row } = await compute
            .run(IMAGE_TOKENS, () => embedder.embedImages([image], call))
            .catch((error: unknown) => {
              throw renamed(error, index);
            });
          data.set(row, index * columns);
        }
        return {
          data,
          dims: [images.length, columns],
          tokens: images.map(() => 0),
          truncated: images.map(() => false),
        };
      },
    },
    dispose: () => embedder.dispose(),
  };
}

function renamed(error: unknown, index: number): unknown {
  if (error instanceof Error) error.message = error.message.replace(/\[0\]/, `[${index}]`);
  return error;
}
