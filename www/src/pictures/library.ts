import { VectorIndex } from 'pilotlight';
import { deleteRecord, deleteRecords, putRecord, readRecords, type PictureRecord } from './records';
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

export type NewPicture = Omit<PictureRecord, 'library' | 'revision' | 'added'>;

/** Pictures and their vectors, of one model. */
export type Library = Awaited<ReturnType<typeof openLibrary>>;

/** While pictures come fast, the page is drawn at most so often. */
const SHOW_EVERY_MS = 120;

/** Opens what is kept of a library: the pictures are read, none is embedded again. Those that former weights of the model saw are `stale`. */
export async function openLibrary(name: string, revision: string) {
  const kept = await readKept(name);
  const pictures = new Map<string, Picture>();
  const [fresh, old] = [true, false].map((now) => kept.records.filter((record) => (record.revision === revision) === now)) as [PictureRecord[], PictureRecord[]];
  for (const record of fresh) hold(record);
  const listeners = new Set<() => void>();
  let snapshot: readonly Picture[] = [...pictures.values()];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let index: VectorIndex | undefined;
  let newest = snapshot.at(-1)?.added ?? 0;
  let closed = false;
  let unkept: unknown = kept.error;
  // Without the code of the index, offline for one, there are the pictures at least.
  if (snapshot[0]) await openIndexFor(snapshot[0].vector.length).catch(() => {});

  async function openIndexFor(dimensions: number) {
    return (index ??= await openIndex(name, revision, dimensions, [...pictures.values()]));
  }

  function hold(record: PictureRecord) {
    pictures.set(record.id, { ...record, url: URL.createObjectURL(record.thumb) });
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
    stale: old.map((record): Source => ({ id: record.id, name: record.name, read: async () => record.preview, small: record })),
    has: (id: string) => pictures.has(id),
    /** Why pictures are not kept, where they are not. */
    unkept: () => unkept,

    async add(picture: NewPicture): Promise<void> {
      const rows = await openIndexFor(picture.vector.length);
      if (closed || pictures.has(picture.id)) return;
      newest = Math.max(Date.now(), newest + 1);
      const record = { ...picture, library: name, revision, added: newest };
      rows.add([record.id], [record.vector]);
      hold(record);
      timer ??= setTimeout(show, SHOW_EVERY_MS);
      await keep(() => putRecord(record));
    },

    /** Keeps the index as it is now. */
    async save(): Promise<void> {
      await keep(async () => index?.save(name));
      show();
    },

    async remove(picture: Picture): Promise<void> {
      index?.remove([picture.id]);
      letGo(picture.id);
      show();
      await keep(() => deleteRecord(picture));
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

    /** The nearest first. */
    search(vector: Float32Array, most: number): Scored[] {
      if (!index || most === 0 || vector.length !== index.dimensions) return [];
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

/** The saved index, brought to what the records say: a tab that was closed at work left it behind them. */
async function openIndex(name: string, revision: string, dimensions: number, records: readonly PictureRecord[]): Promise<VectorIndex> {
  // What cannot be read is made again.
  const saved = await VectorIndex.load(name).catch(() => undefined);
  const index = saved?.dimensions === dimensions && saved.source === revision ? saved : await VectorIndex.create({ dimensions, precision: 'float32', source: revision });
  if (index !== saved) saved?.dispose();
  const wanted = new Set(records.map(({ id }) => id));
  index.remove(index.ids().filter((id) => !wanted.has(String(id))));
  const missing = records.filter(({ id }) => !index.has(id));
  index.add(missing.map(({ id }) => id), missing.map(({ vector }) => vector));
  return index;
}
