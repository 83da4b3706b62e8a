import { type KeyboardEvent, memo, useEffect, useRef, useState } from 'react';
import { count } from '../page/format';
import { ClearButton } from './ClearButton';
import { ImageTile } from './ImageTile';
import { foundWords } from './image-words';
import type { LibraryImage, Scored } from './library';
import type { Found } from './useImageSearch';

interface Props {
  images: readonly LibraryImage[];
  found: Found | null;
  active: string | null;
  onActive: (id: string | null) => void;
  onOpen: (image: LibraryImage) => void;
  onClear: () => void;
}

/** The number of images that are shown at first: about as many as fit beside the map. */
const FIRST = 36;

/** All images in the order in which they came or, during a search, the best first. */
export const ImageGrid = memo(function ImageGrid({ images, found, active, onActive, onOpen, onClear }: Props) {
  const [all, setAll] = useState(false);
  const [stop, setStop] = useState(0);
  const grid = useRef<HTMLDivElement>(null);
  const title = useRef<HTMLHeadingElement>(null);
  const entries: readonly { image: LibraryImage; score: number | null }[] =
    found?.scored ?? images.map((image) => ({ image, score: null }));
  const shown = all ? entries : entries.slice(0, FIRST);
  const share = shareOf(found?.scored ?? []);

  const like = found && 'like' in found.wanted ? found.wanted.like : null;
  const before = useRef(images.length);

  // In the results of a new search the Tab key leads to the first image.
  const [lastWanted, setLastWanted] = useState(found?.wanted);
  if (lastWanted !== found?.wanted) {
    setLastWanted(found?.wanted);
    setStop(0);
  }

  // A visitor who asked for similar images, or removed one, goes on at the head of the list.
  useEffect(() => {
    if (like) title.current?.focus();
  }, [like]);
  useEffect(() => {
    if (images.length < before.current && document.activeElement === document.body) title.current?.focus();
    before.current = images.length;
  }, [images]);

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
    <section aria-labelledby="images-title">
      <div className="results-head">
        <h2 id="images-title" tabIndex={-1} ref={title}>
          {found ? 'Best first' : images.length === 0 ? 'Your images' : count(images.length, 'image')}
        </h2>
        {images.length > 0 && <ClearButton images={images.length} onClear={onClear} />}
      </div>
      <p className="unseen" role="status">
        {foundWords(found)}
      </p>
      {images.length === 0 && (
        <p className="grid-empty">The library is empty. Add some images, and they appear here.</p>
      )}
      <div
        className="grid"
        ref={grid}
        role="listbox"
        aria-label="Images. Arrow keys go from one to the next, Enter opens it."
        onKeyDown={onKeyDown}
        hidden={images.length === 0}
      >
        {shown.map(({ image, score }, i) => (
          <ImageTile
            key={image.id}
            image={image}
            score={score}
            share={score === null ? 0 : share(score)}
            stop={i}
            tabbable={i === Math.min(stop, shown.length - 1)}
            active={image.id === active}
            onStop={setStop}
            onActive={onActive}
            onOpen={onOpen}
          />
        ))}
      </div>
      {entries.length > FIRST && (
        <button type="button" className="button more" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show all ${entries.length}`}
        </button>
      )}
    </section>
  );
});

/** The length of the bar of a score, 0 to 1. CLIP's cosines lie close together, so the bar runs from the worst image to the best. */
function shareOf(scored: readonly Scored[]): (score: number) => number {
  const best = scored[0]?.score ?? 1;
  const worst = scored.at(-1)?.score ?? 0;
  return (score) => (best > worst ? (score - worst) / (best - worst) : 1);
}
