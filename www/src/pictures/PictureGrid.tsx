import { type KeyboardEvent, memo, useEffect, useRef, useState } from 'react';
import { count } from '../page/format';
import { ClearButton } from './ClearButton';
import type { Picture, Scored } from './library';
import { PictureTile } from './PictureTile';
import { foundWords } from './picture-words';
import type { Found } from './usePictureSearch';

interface Props {
  pictures: readonly Picture[];
  found: Found | null;
  active: string | null;
  onActive: (id: string | null) => void;
  onOpen: (picture: Picture) => void;
  onClear: () => void;
}

/** About as many as stand beside the map. */
const FIRST = 36;

/** All pictures as they came, or the best first. */
export const PictureGrid = memo(function PictureGrid({ pictures, found, active, onActive, onOpen, onClear }: Props) {
  const [all, setAll] = useState(false);
  const [stop, setStop] = useState(0);
  const grid = useRef<HTMLUListElement>(null);
  const title = useRef<HTMLHeadingElement>(null);
  const entries: readonly { picture: Picture; score: number | null }[] =
    found?.scored ?? pictures.map((picture) => ({ picture, score: null }));
  const shown = all ? entries : entries.slice(0, FIRST);
  const share = shareOf(found?.scored ?? []);

  const like = found && 'like' in found.wanted ? found.wanted.like : null;
  const before = useRef(pictures.length);

  useEffect(() => setStop(0), [found?.wanted]);

  // Who asked for more like a picture, or removed one, is at the beginning of what is there now.
  useEffect(() => {
    if (like) title.current?.focus();
  }, [like]);
  useEffect(() => {
    if (pictures.length < before.current && document.activeElement === document.body) title.current?.focus();
    before.current = pictures.length;
  }, [pictures]);

  function onKeyDown(event: KeyboardEvent) {
    const tiles = [...(grid.current?.children ?? [])] as HTMLElement[];
    const top = tiles[0]?.offsetTop;
    const columns = Math.max(
      1,
      tiles.findIndex((tile) => tile.offsetTop !== top),
    );
    const steps: Record<string, number> = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: columns,
      ArrowUp: -columns,
      Home: -tiles.length,
      End: tiles.length,
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const by = Math.abs(step) === tiles.length;
    const next = by ? (step < 0 ? 0 : tiles.length - 1) : Math.min(stop, tiles.length - 1) + step;
    tiles[next]?.focus();
  }

  return (
    <section aria-labelledby="pictures-title">
      <div className="results-head">
        <h2 id="pictures-title" tabIndex={-1} ref={title}>
          {found ? 'Best first' : pictures.length === 0 ? 'Your pictures' : count(pictures.length, 'picture')}
        </h2>
        {pictures.length > 0 && <ClearButton pictures={pictures.length} onClear={onClear} />}
      </div>
      <p className="unseen" role="status">
        {foundWords(found)}
      </p>
      {pictures.length === 0 && (
        <p className="grid-empty">The library is empty. Add some pictures, and they appear here.</p>
      )}
      <ul
        className="grid"
        ref={grid}
        role="listbox"
        aria-label="Pictures. Arrow keys go from one to the next, Enter opens it."
        onKeyDown={onKeyDown}
        hidden={pictures.length === 0}
      >
        {shown.map(({ picture, score }, i) => (
          <PictureTile
            key={picture.id}
            picture={picture}
            score={score}
            share={score === null ? 0 : share(score)}
            stop={i}
            tabbable={i === Math.min(stop, shown.length - 1)}
            active={picture.id === active}
            onStop={setStop}
            onActive={onActive}
            onOpen={onOpen}
          />
        ))}
      </ul>
      {entries.length > FIRST && (
        <button type="button" className="button more" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show all ${entries.length}`}
        </button>
      )}
    </section>
  );
});

/** CLIP's cosines lie close together: the bar runs from the worst picture to the best one. */
function shareOf(scored: readonly Scored[]): (score: number) => number {
  const best = scored[0]?.score ?? 1;
  const worst = scored.at(-1)?.score ?? 0;
  return (score) => (best > worst ? (score - worst) / (best - worst) : 1);
}
