import { VectorIndex } from 'pilotlight';
import { deleteRecord, deleteRecords, type ImageRecord, putRecord, readRecords } from './records';
import type { Source } from './sources';

/** An image of the open library. */
export interface LibraryImage extends ImageRecord {
  /** The address of its thumbnail, which is valid as long as the image is in the library. */
  url: string;
}

/** An image that a search found. */
export interface Scored {
  image: LibraryImage;
  /** The cosine with what is searched for, -1 to 1. */
  score: number;
}

/** An image as a caller adds it to the library. */
export type NewImage = Omit<ImageRecord, 'library' | 'source' | 'added'>;

/** The images of one model and an index of their vectors. */
export type Library = Awaited<ReturnType<typeof openLibrary>>;

/** The least time between two renderings while images come fast. */
const SHOW_EVERY_MS = 120;

/** Opens the library of a model with the images that this browser keeps. None of them is embedded again. */
export async function openLibrary(name: string) {
  const kept = await readKept(name);
  const images = new Map<string, LibraryImage>();
  for (const record of kept.records) hold(record);
  const listeners = new Set<() => void>();
  let snapshot: readonly LibraryImage[] = [...images.values()];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let index: VectorIndex | undefined;
  // Until the model is loaded, it is the source of the first image, which is the first to be embedded again where the source changes.
  let source = snapshot[0]?.source ?? '';
  let newest = snapshot.at(-1)?.added ?? 0;
  let closed = false;
  let unkept: unknown = kept.error;
  await openIndex();

  /** The image of that id, if its vector is of the current source. */
  function seen(id: string): LibraryImage | undefined {
    const image = images.get(id);
    return image?.source === source ? image : undefined;
  }

  async function openIndex(): Promise<void> {
    const first = snapshot.find(({ id }) => seen(id));
    // If the code of the index cannot be loaded, offline for example, the images are shown without a search.
    if (first) await openIndexFor(first.vector.length).catch(() => {});
  }

  async function openIndexFor(dimensions: number): Promise<void> {
    const wanted = source;
    const opened = await savedOrNew(name, wanted, dimensions);
    // While it was opened, another index may have been opened, or the source may have changed.
    if (closed || index || source !== wanted) return opened.dispose();
    synchronize(
      opened,
      [...images.values()].filter(({ id }) => seen(id)),
    );
    index = opened;
  }

  function hold(record: ImageRecord) {
    // An image that is embedded again keeps its address.
    images.set(record.id, { ...record, url: images.get(record.id)?.url ?? URL.createObjectURL(record.thumb) });
  }

  function letGo(id: string) {
    const image = images.get(id);
    if (image) URL.revokeObjectURL(image.url);
    images.delete(id);
  }

  async function keep(work: () => Promise<unknown>) {
    try {
      await work();
    } catch (error) {
      unkept ??= error;
    }
  }

  function show() {
    clearTimeout(timer);
    timer = undefined;
    if (closed) return;
    snapshot = [...images.values()];
    for (const listener of listeners) listener();
  }

  return {
    name,
    /** Adds a listener, as React's `useSyncExternalStore` needs it. */
    subscribe(listener: () => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    images: () => snapshot,
    /** Whether the library has that image, with a vector of the current source. */
    has: (id: string) => seen(id) !== undefined,
    /** The images whose vectors are of another source, as sources from which they can be embedded again. */
    waiting: () =>
      snapshot
        .filter(({ id }) => !seen(id))
        .map(
          (image): Source => ({
            id: image.id,
            name: image.name,
            read: async () => image.preview,
            kept: image,
          }),
        ),
    /** The reason why images are not kept; null where they are. */
    unkept: () => unkept,

    /** Sets the source of vectors. Images with vectors of another source are left out of searches from now on. */
    turnTo(next: string): void {
      if (next === source) return;
      source = next;
      index?.dispose();
      index = undefined;
      show();
      void openIndex().then(show);
    },

    /**
     * Adds an image. Where `again` is set it was in the library before, and is left out if it has been removed since.
     * A call that is aborted throws and changes nothing.
     */
    async add(image: NewImage, again: boolean, signal: AbortSignal): Promise<void> {
      if (!index) await openIndexFor(image.vector.length);
      signal.throwIfAborted();
      const before = images.get(image.id);
      if (!index || seen(image.id) || (again && !before)) return;
      newest = before ? newest : Math.max(Date.now(), newest + 1);
      const record = { ...image, library: name, source, added: before?.added ?? newest };
      index.add([record.id], [record.vector]);
      hold(record);
      timer ??= setTimeout(show, SHOW_EVERY_MS);
      await keep(() => putRecord(record));
    },

    /** Saves the index. */
    async save(): Promise<void> {
      await keep(async () => index?.save(name));
      show();
    },

    /** Removes an image. Throws where the index has trapped; the image is removed all the same. */
    async remove(image: LibraryImage): Promise<void> {
      letGo(image.id);
      show();
      const deleted = keep(() => deleteRecord(image));
      index?.remove([image.id]);
      await deleted;
      await this.save();
    },

    async clear(): Promise<void> {
      for (const id of [...images.keys()]) letGo(id);
      index?.dispose();
      index = undefined;
      show();
      await keep(() => deleteRecords(name));
      await keep(() => VectorIndex.delete(name));
    },

    /** Finds the images nearest to a vector or to an image, the best first. Throws where the index has trapped. */
    search(wanted: Float32Array | LibraryImage, most: number): Scored[] {
      const vector = wanted instanceof Float32Array ? wanted : seen(wanted.id)?.vector;
      if (!index || most === 0 || vector?.length !== index.dimensions) return [];
      return index.search(vector, most).flatMap(({ id, score }) => {
        const image = images.get(String(id));
        return image ? [{ image, score }] : [];
      });
    },

    close() {
      closed = true;
      clearTimeout(timer);
      for (const id of [...images.keys()]) letGo(id);
      index?.dispose();
      index = undefined;
    },
  };
}

/** The records that are kept; none, with the error, where the browser keeps nothing, because a library works without them too. */
async function readKept(name: string): Promise<{ records: ImageRecord[]; error: unknown }> {
  try {
    return { records: await readRecords(name), error: null };
  } catch (error) {
    return { records: [], error };
  }
}

/** The saved index if it is of these dimensions and this source, else an empty one. */
async function savedOrNew(name: string, source: string, dimensions: number): Promise<VectorIndex> {
  // An index that cannot be read is made anew from the records.
  const saved = await VectorIndex.load(name).catch(() => undefined);
  if (saved?.dimensions === dimensions && saved.source === source) return saved;
  saved?.dispose();
  return VectorIndex.create({ dimensions, precision: 'float32', source });
}

/** Makes an index hold exactly the vectors of the records, which it does not where a tab was closed before it saved. */
function synchronize(index: VectorIndex, records: readonly ImageRecord[]): void {
  const wanted = new Set(records.map(({ id }) => id));
  index.remove(index.ids().filter((id) => !wanted.has(String(id))));
  const missing = records.filter(({ id }) => !index.has(id));
  index.add(
    missing.map(({ id }) => id),
    missing.map(({ vector }) => vector),
  );
}
