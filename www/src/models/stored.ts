import { models, type StoredModel } from 'pilotlight';
import { useSyncExternalStore } from 'react';
import { loader as detectorLoader, forgetDetector } from '../detect/detector';
import { forget } from '../engine/choice';
import { engine } from '../engine/engine';
import { clip } from '../images/clip';
import { forgetImageModel } from '../images/image-models';

/** The stored models, and the space that the browser reports for them. */
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

// A load changes the store, whether it succeeds, fails or is cancelled.
for (const loader of [engine, clip, detectorLoader]) {
  let before = loader.state().status;
  loader.subscribe(() => {
    const { status } = loader.state();
    if (before === 'loading' && status !== 'loading') changed();
    before = status;
  });
}
// Another tab may have changed the store while this one was hidden.
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && changed());

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** A counter that grows whenever the store may have changed. */
export const useStoreChanges = (): number => useSyncExternalStore(subscribe, () => changes);

/** Reads the list of stored models and their space; throws if the browser blocks storage. */
export async function readStore(): Promise<Stored> {
  const [list, usage] = await Promise.all([models.list(), models.usage()]);
  return { models: list, usage };
}

/** Deletes a model from the store, and forgets the choice by which the next visit would fetch it again unasked. */
export async function deleteModel(model: StoredModel): Promise<void> {
  await models.delete(model.key);
  if (model.whole) {
    forget(model);
    forgetImageModel(model);
    forgetDetector(model);
  }
  changed();
}
