/** Lists of blobs. */
import type { BlobPage, Blobs } from './host.ts';

/** All objects whose names start with a prefix, as many at a time as the blobs list. */
export async function* pagesOf(blobs: Pick<Blobs, 'list'>, prefix: string): AsyncGenerator<BlobPage['objects']> {
  let cursor: string | undefined;
  do {
    const page: BlobPage = await blobs.list(prefix, cursor);
    yield page.objects;
    cursor = page.cursor;
  } while (cursor !== undefined);
}
