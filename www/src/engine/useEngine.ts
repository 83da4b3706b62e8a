import { useSyncExternalStore } from 'react';
import { type EngineState, engine } from './engine';

export function useEngine(): EngineState {
  return useSyncExternalStore(engine.subscribe, engine.state);
}
