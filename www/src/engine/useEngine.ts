import { useSyncExternalStore } from 'react';
import { type EngineState, engine } from './engine';

/** The state of the page's sentence encoder. */
export function useEngine(): EngineState {
  return useSyncExternalStore(engine.subscribe, engine.state);
}
