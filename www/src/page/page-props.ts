import type { EngineState } from '../engine/engine';

/** What every page of the app is given. */
export interface PageProps {
  state: EngineState;
  /** Whether this is the page that the visitor is on. */
  shown: boolean;
}
