import { useCallback, useDeferredValue, useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import type { PageProps } from '../page/page-props';
import { ModelCard } from '../setup/ModelCard';
import { AddPanel } from './AddPanel';
import { ClipForm } from './ClipForm';
import { clip } from './clip';
import { ImageDialog } from './ImageDialog';
import { ImageFigures } from './ImageFigures';
import { ImageGrid } from './ImageGrid';
import { ImageMap } from './ImageMap';
import { ImageSearch } from './ImageSearch';
import { choiceOf, modelOf, rememberedImageChoice } from './image-models';
import type { LibraryImage } from './library';
import { drawnSources } from './sources';
import { useImageSearch, type Wanted } from './useImageSearch';
import { useIntake } from './useIntake';
import { useLibrary } from './useLibrary';

const NOTHING: Wanted = { text: '' };
const DRAWN_AT_ONCE = 120;

/** The page of the image library: images come in, and are found by words, by similarity and on a map. */
export function ImagesPage({ shown }: PageProps) {
  const state = useSyncExternalStore(clip.subscribe, clip.state);
  const [draft, setDraft] = useState(() =>
    state.status === 'idle' ? (rememberedImageChoice() ?? choiceOf('tiny')) : state.choice,
  );
  const choice = state.status === 'idle' ? draft : state.choice;
  const embedder = state.status === 'ready' ? state.embedder : null;
  const model = modelOf(choice);
  const { library, images } = useLibrary(choice, embedder?.source);
  const seen = useMemo(() => images.filter(({ id }) => library?.has(id)), [library, images]);
  const { intake, add, addFiles, stop } = useIntake(library, embedder, clip.fail);
  const [wanted, setWanted] = useState(NOTHING);
  const [active, setActive] = useState<string | null>(null);
  const [open, setOpen] = useState<LibraryImage | null>(null);
  // To render hundreds of images in a new order takes a moment, in which typing must not wait.
  const found = useDeferredValue(useImageSearch(library, images, embedder, wanted, clip.fail));

  // A model that an earlier visit loaded is in the store, so it is loaded without asking.
  useEffect(() => {
    const remembered = rememberedImageChoice();
    if (shown && remembered && clip.state().status === 'idle') void clip.load(remembered);
  }, [shown]);

  // Another library has other images than those that are open or searched for.
  const [lastLibrary, setLastLibrary] = useState(library);
  if (lastLibrary !== library) {
    setLastLibrary(library);
    setWanted(NOTHING);
    setOpen(null);
  }

  // The card says what is wrong, and an open dialog would cover it.
  useEffect(() => {
    if (state.status === 'failed') setOpen(null);
  }, [state.status]);

  const lookAgain = useCallback(() => {
    const waiting = library?.waiting() ?? [];
    if (waiting.length > 0) add(waiting);
  }, [library, add]);

  useEffect(() => {
    if (embedder) lookAgain();
  }, [embedder, lookAgain]);

  function draw() {
    // The seed is the number of images drawn before, so that others are drawn each time.
    const drawn = images.filter(({ id }) => id.startsWith('drawn ')).length;
    add(drawnSources(1 + drawn, DRAWN_AT_ONCE));
  }

  const searchLike = useCallback((like: LibraryImage) => {
    setWanted({ like });
    setOpen(null);
  }, []);

  const remove = useCallback(
    (image: LibraryImage) => {
      setOpen(null);
      setWanted((last) => ('like' in last && last.like.id === image.id ? NOTHING : last));
      library?.remove(image).catch(clip.fail);
    },
    [library],
  );

  const clear = useCallback(() => {
    stop();
    setWanted(NOTHING);
    void library?.clear();
  }, [library, stop]);

  return (
    <>
      <div className="opening">
        <div className="intro">
          <h1 tabIndex={-1}>An image library inside this tab</h1>
          <p>
            Drop a folder of images, search them in words, and ask what they show. The network that sees them runs here:
            no image is sent anywhere.
          </p>
        </div>
        <ModelCard
          label="Model for images"
          state={state}
          loader={clip}
          draft={draft}
          onDraft={setDraft}
          Form={ClipForm}
        />
      </div>
      {/* The dialog stands before the grid, so that it has closed and given the focus back when the grid's effects look at it. */}
      <ImageDialog
        image={open}
        library={library}
        images={images}
        embedder={embedder}
        model={model}
        onOpen={setOpen}
        onLike={searchLike}
        onRemove={remove}
        onFail={clip.fail}
      />
      <AddPanel
        intake={intake}
        waiting={images.length - seen.length}
        onLookAgain={embedder && intake.status === 'stopped' ? lookAgain : undefined}
        unkept={library?.unkept()}
        onFiles={addFiles}
        onDraw={model.id === 'tiny' ? draw : undefined}
        drawn={DRAWN_AT_ONCE}
        onStop={stop}
      />
      <div className="workspace images">
        <div className="workspace-list">
          <ImageSearch model={model} ready={embedder !== null} wanted={wanted} onChange={setWanted} />
          <ImageGrid
            images={images}
            found={found}
            active={active}
            onActive={setActive}
            onOpen={setOpen}
            onClear={clear}
          />
        </div>
        <div className="workspace-map">
          <ImageMap
            images={seen}
            found={found}
            settled={intake.status !== 'working'}
            active={active}
            onActive={setActive}
            onOpen={setOpen}
          />
          <ImageFigures images={seen} intake={intake} found={found} />
        </div>
      </div>
    </>
  );
}
