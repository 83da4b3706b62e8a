import type { EngineState } from '../engine/engine';

/** The props of every page of the app. */
export interface PageProps {
  state: EngineState;
  /** Whether this is the page that the visitor is on. */
  shown: boolean;
}
