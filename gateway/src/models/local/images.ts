/** The towers of CLIP and SigLIP: the encoder of images, and that of texts in the same space. */
import { ImageTextEmbedder } from 'pilotlight';
import { ITEM_TOKENS } from '../model.ts';
import { joinedVectors } from '../vectors.ts';
import { guessTokens, sliceTokens } from './compute.ts';
import type { Loaded, LoadRequest } from './loader.ts';

export async function loadImages({ repository, options, compute }: LoadRequest): Promise<Loaded> {
  const embedder = await ImageTextEmbedder.load(repository, { ...options, towers: ['image'] });
  const { dimensions: width } = embedder;
  return {
    dimensions: width,
    calls: {
      async embedImages(images, { dimensions }, { signal, job }) {
        const call = { signal, ...(dimensions !== undefined && { dimensions }) };
        const columns = dimensions ?? width;
        const data = new Float32Array(images.length * columns);
        // One image is a slice.
        const size = { most: ITEM_TOKENS, tokensOf: () => ITEM_TOKENS, job };
        await compute.each([...images.entries()], size, async (slice) => {
          const [index, image] = slice[0] as [number, Uint8Array];
          // Errors name an image by its place in the call, which has one: this is its place in the request.
          const { data: row } = await embedder.embedImages([image], call).catch((error: unknown) => {
            throw renamed(error, index);
          });
          data.set(row, index * columns);
        });
        return {
          data,
          dims: [images.length, columns],
          tokens: images.map(() => ITEM_TOKENS),
          truncated: images.map(() => false),
        };
      },
    },
    dispose: () => embedder.dispose(),
  };
}

/** The layers of the text tower of ViT-B/32 and its kin, of which the package does not tell the number. */
const TEXT_LAYERS = 12;

export async function loadTextTower({ repository, options, compute }: LoadRequest): Promise<Loaded> {
  const embedder = await ImageTextEmbedder.load(repository, { ...options, towers: ['text'] });
  // The text tower is there, and with it the length of its texts.
  const { dimensions: width, maxTokens = 77 } = embedder;
  const most = sliceTokens(width, TEXT_LAYERS);
  return {
    dimensions: width,
    maxTokens,
    calls: {
      async embed(texts, { dimensions }, { signal, job }) {
        const call = { signal, ...(dimensions !== undefined && { dimensions }) };
        const size = { most, tokensOf: (text: string) => guessTokens(text, maxTokens), job };
        const parts = await compute.each(texts, size, (slice) => embedder.embedTexts(slice, call));
        return joinedVectors(parts, dimensions ?? width);
      },
    },
    dispose: () => embedder.dispose(),
  };
}

function renamed(error: unknown, index: number): unknown {
  if (error instanceof Error) error.message = error.message.replace(/\[0\]/, `[${index}]`);
  return error;
}
