import { useSyncExternalStore } from 'react';
import { engine, type EngineState } from './engine';

export function useEngine(): EngineState {
  return useSyncExternalStore(engine.subscribe, engine.state);
}
