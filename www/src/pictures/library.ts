import { VectorIndex } from 'pilotlight';
import { deleteRecord, deleteRecords, type PictureRecord, putRecord, readRecords } from './records';
import type { Source } from './sources';

/** A picture of the open library. `url` is its thumbnail's, good as long as the picture is in it. */
export interface Picture extends PictureRecord {
  url: string;
}

export interface Scored {
  picture: Picture;
  /** Cosine with what is searched for, -1 to 1. */
  score: number;
}

export type NewPicture = Omit<PictureRecord, 'library' | 'source' | 'added'>;

/** Pictures and their vectors, of one model. */
export type Library = Awaited<ReturnType<typeof openLibrary>>;

/** While pictures come fast, the page is drawn at most so often. */
const SHOW_EVERY_MS = 120;

/** Opens what is kept of a library: the pictures are read, none is embedded again. */
export async function openLibrary(name: string) {
  const kept = await readKept(name);
  const pictures = new Map<string, Picture>();
  for (const record of kept.records) hold(record);
  const listeners = new Set<() => void>();
  let snapshot: readonly Picture[] = [...pictures.values()];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let index: VectorIndex | undefined;
  // Until the model stands: that of the first picture, which is the first to be looked at again.
  let source = snapshot[0]?.source ?? '';
  let newest = snapshot.at(-1)?.added ?? 0;
  let closed = false;
  let unkept: unknown = kept.error;
  await openIndex();

  /** A picture, where its vector is of the source. */
  function seen(id: string): Picture | undefined {
    const picture = pictures.get(id);
    return picture?.source === source ? picture : undefined;
  }

  async function openIndex(): Promise<void> {
    const first = snapshot.find(({ id }) => seen(id));
    // Without the code of the index, offline for one, there are the pictures at least.
    if (first) await openIndexFor(first.vector.length).catch(() => {});
  }

  async function openIndexFor(dimensions: number): Promise<void> {
    const wanted = source;
    const opened = await savedOrNew(name, wanted, dimensions);
    // Meanwhile another may have come, or nobody wants it any more.
    if (closed || index || source !== wanted) return opened.dispose();
    bring(
      opened,
      [...pictures.values()].filter(({ id }) => seen(id)),
    );
    index = opened;
  }

  function hold(record: PictureRecord) {
    // One that is looked at again keeps its address.
    pictures.set(record.id, { ...record, url: pictures.get(record.id)?.url ?? URL.createObjectURL(record.thumb) });
  }

  function letGo(id: string) {
    const picture = pictures.get(id);
    if (picture) URL.revokeObjectURL(picture.url);
    pictures.delete(id);
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
    snapshot = [...pictures.values()];
    for (const listener of listeners) listener();
  }

  return {
    name,
    /** For React's `useSyncExternalStore`. */
    subscribe(listener: () => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    pictures: () => snapshot,
    /** Whether a picture is there and can be searched for. */
    has: (id: string) => seen(id) !== undefined,
    /** Those that are there with a vector of another source, to be looked at again. */
    waiting: () =>
      snapshot
        .filter(({ id }) => !seen(id))
        .map(
          (picture): Source => ({
            id: picture.id,
            name: picture.name,
            read: async () => picture.preview,
            kept: picture,
          }),
        ),
    /** Why pictures are not kept, where they are not. */
    unkept: () => unkept,

    /** From now on vectors are of this source: pictures of another one wait. */
    turnTo(next: string): void {
      if (next === source) return;
      source = next;
      index?.dispose();
      index = undefined;
      show();
      void openIndex().then(show);
    },

    /** `again`: a picture that waits, which may have been removed meanwhile. What is aborted throws and leaves nothing there. */
    async add(picture: NewPicture, again: boolean, signal: AbortSignal): Promise<void> {
      if (!index) await openIndexFor(picture.vector.length);
      signal.throwIfAborted();
      const before = pictures.get(picture.id);
      if (!index || seen(picture.id) || (again && !before)) return;
      newest = before ? newest : Math.max(Date.now(), newest + 1);
      const record = { ...picture, library: name, source, added: before?.added ?? newest };
      index.add([record.id], [record.vector]);
      hold(record);
      timer ??= setTimeout(show, SHOW_EVERY_MS);
      await keep(() => putRecord(record));
    },

    /** Keeps the index as it is now. */
    async save(): Promise<void> {
      await keep(async () => index?.save(name));
      show();
    },

    /** Throws where the index is lost; the picture goes all the same. */
    async remove(picture: Picture): Promise<void> {
      letGo(picture.id);
      show();
      const deleted = keep(() => deleteRecord(picture));
      index?.remove([picture.id]);
      await deleted;
      await this.save();
    },

    async clear(): Promise<void> {
      for (const id of [...pictures.keys()]) letGo(id);
      index?.dispose();
      index = undefined;
      show();
      await keep(() => deleteRecords(name));
      await keep(() => VectorIndex.delete(name));
    },

    /** The nearest to a vector or to a picture, the best first. Throws where the index is lost. */
    search(wanted: Float32Array | Picture, most: number): Scored[] {
      const vector = wanted instanceof Float32Array ? wanted : seen(wanted.id)?.vector;
      if (!index || most === 0 || vector?.length !== index.dimensions) return [];
      return index.search(vector, most).flatMap(({ id, score }) => {
        const picture = pictures.get(String(id));
        return picture ? [{ picture, score }] : [];
      });
    },

    close() {
      closed = true;
      clearTimeout(timer);
      for (const id of [...pictures.keys()]) letGo(id);
      index?.dispose();
      index = undefined;
    },
  };
}

/** A browser that keeps nothing can search all the same. */
async function readKept(name: string): Promise<{ records: PictureRecord[]; error: unknown }> {
  try {
    return { records: await readRecords(name), error: null };
  } catch (error) {
    return { records: [], error };
  }
}

async function savedOrNew(name: string, source: string, dimensions: number): Promise<VectorIndex> {
  // What cannot be read is made again.
  const saved = await VectorIndex.load(name).catch(() => undefined);
  if (saved?.dimensions === dimensions && saved.source === source) return saved;
  saved?.dispose();
  return VectorIndex.create({ dimensions, precision: 'float32', source });
}

/** Brings an index to what the records say: a tab that was closed at work left it behind them. */
function bring(index: VectorIndex, records: readonly PictureRecord[]): void {
  const wanted = new Set(records.map(({ id }) => id));
  index.remove(index.ids().filter((id) => !wanted.has(String(id))));
  const missing = records.filter(({ id }) => !index.has(id));
  index.add(
    missing.map(({ id }) => id),
    missing.map(({ vector }) => vector),
  );
}
