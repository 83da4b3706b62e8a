import { models, type StoredModel } from 'pilotlight';
import { useSyncExternalStore } from 'react';
import { forget } from '../engine/choice';
import { engine } from '../engine/engine';
import { clip } from '../pictures/clip';
import { forgetPictureModel } from '../pictures/picture-models';

/** What the store holds, and what the browser says of the room for it. */
export interface Stored {
  models: StoredModel[];
  usage: Awaited<ReturnType<typeof models.usage>>;
}

let changes = 0;
const listeners = new Set<() => void>();

function changed() {
  changes += 1;
  for (const listener of listeners) listener();
}

// The end of a load, however it ended, left something there.
for (const loader of [engine, clip]) {
  let before = loader.state().status;
  loader.subscribe(() => {
    const { status } = loader.state();
    if (before === 'loading' && status !== 'loading') changed();
    before = status;
  });
}
// So may another tab have done.
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && changed());

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Grows whenever the store may hold something else than before. */
export const useStoreChanges = (): number => useSyncExternalStore(subscribe, () => changes);

export async function readStore(): Promise<Stored> {
  const [list, usage] = await Promise.all([models.list(), models.usage()]);
  return { models: list, usage };
}

export async function deleteModel(model: StoredModel): Promise<void> {
  await models.delete(model.key);
  if (model.whole) {
    forget(model);
    forgetPictureModel(model);
  }
  changed();
}
