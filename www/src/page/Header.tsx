import type { EngineState } from '../engine/engine';
import { shareLoaded } from '../setup/progress-words';
import { Flame } from './Flame';
import { Navigation } from './Navigation';
import type { Path } from './routes';
import { ThemeToggle } from './ThemeToggle';

interface Props {
  state: EngineState;
  path: Path;
}

/** The head of the page: the logo, the navigation and the choice of the theme. */
export function Header({ state, path }: Props) {
  return (
    <header className="header">
      <div className="wordmark">
        <Flame level={flameLevel(state)} failed={state.status === 'failed' && !state.problem.calm} />
        <span>Pilotlight</span>
      </div>
      <Navigation path={path} />
      <ThemeToggle />
    </header>
  );
}

function flameLevel(state: EngineState): number {
  if (state.status === 'ready') return 1;
  if (state.status !== 'loading') return 0;
  return 0.12 + 0.8 * (shareLoaded(state.progress) ?? 0);
}
