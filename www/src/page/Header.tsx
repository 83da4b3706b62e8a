import type { EngineState } from '../engine/engine';
import { shareLoaded } from '../setup/progress-words';
import { Flame } from './Flame';
import { ThemeToggle } from './ThemeToggle';

export function Header({ state }: { state: EngineState }) {
  return (
    <header className="header">
      <div className="wordmark">
        <Flame level={flameLevel(state)} failed={state.status === 'failed' && !state.problem.calm} />
        <span>Pilotlight</span>
      </div>
      <ThemeToggle />
    </header>
  );
}

function flameLevel(state: EngineState): number {
  if (state.status === 'ready') return 1;
  if (state.status !== 'loading') return 0;
  return 0.12 + 0.8 * (shareLoaded(state.progress) ?? 0);
}
