/** Plans the memory of a model without loading it. */
import { models } from 'pilotlight';
import type { LoadRequest } from './loader.ts';

/** The bytes of memory of a model. */
export async function plan({ entry, repository, options }: Omit<LoadRequest, 'compute'>): Promise<number> {
  const { memoryBytes } = await models.plan(repository, {
    ...options,
    ...(entry.layers !== undefined && { layers: entry.layers }),
    ...(entry.task === 'embed-image' && { towers: ['image'] }),
    ...(entry.tower === 'text' && { towers: ['text'] }),
  });
  return memoryBytes;
}
