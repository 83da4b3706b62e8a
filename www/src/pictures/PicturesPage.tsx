import { useCallback, useDeferredValue, useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import type { PageProps } from '../page/App';
import { ModelCard } from '../setup/ModelCard';
import { AddPanel } from './AddPanel';
import { ClipForm } from './ClipForm';
import { clip } from './clip';
import type { Picture } from './library';
import { PictureDialog } from './PictureDialog';
import { PictureFigures } from './PictureFigures';
import { PictureGrid } from './PictureGrid';
import { PictureMap } from './PictureMap';
import { PictureSearch } from './PictureSearch';
import { choiceOf, modelOf, rememberedPictureChoice } from './picture-models';
import { drawnSources } from './sources';
import { useIntake } from './useIntake';
import { useLibrary } from './useLibrary';
import { usePictureSearch, type Wanted } from './usePictureSearch';

const NOTHING: Wanted = { text: '' };
const DRAWN_AT_ONCE = 120;

/** A photo library: pictures come in, and are found by words, by likeness and on a map. */
export function PicturesPage({ shown }: PageProps) {
  const state = useSyncExternalStore(clip.subscribe, clip.state);
  const [draft, setDraft] = useState(() =>
    state.status === 'idle' ? (rememberedPictureChoice() ?? choiceOf('tiny')) : state.choice,
  );
  const choice = state.status === 'idle' ? draft : state.choice;
  const embedder = state.status === 'ready' ? state.embedder : null;
  const model = modelOf(choice);
  const { library, pictures } = useLibrary(choice, embedder?.source);
  const seen = useMemo(() => pictures.filter(({ id }) => library?.has(id)), [library, pictures]);
  const { intake, add, addFiles, stop } = useIntake(library, embedder, clip.fail);
  const [wanted, setWanted] = useState(NOTHING);
  const [active, setActive] = useState<string | null>(null);
  const [open, setOpen] = useState<Picture | null>(null);
  // Hundreds of pictures take a moment to be put in order: typing goes on meanwhile.
  const found = useDeferredValue(usePictureSearch(library, pictures, embedder, wanted, clip.fail));

  // A model that was loaded before lies in the store: it costs nothing to get it going.
  useEffect(() => {
    const remembered = rememberedPictureChoice();
    if (shown && remembered && clip.state().status === 'idle') void clip.load(remembered);
  }, [shown]);

  // Its pictures are those of another model.
  useEffect(() => {
    setWanted(NOTHING);
    setOpen(null);
  }, [library]);

  // The card says what is wrong, and the dialog would lie over it.
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
    // Others each time: the seed is the number of those that were drawn before.
    const drawn = pictures.filter(({ id }) => id.startsWith('drawn ')).length;
    add(drawnSources(1 + drawn, DRAWN_AT_ONCE));
  }

  const searchLike = useCallback((like: Picture) => {
    setWanted({ like });
    setOpen(null);
  }, []);

  const remove = useCallback(
    (picture: Picture) => {
      setOpen(null);
      setWanted((last) => ('like' in last && last.like.id === picture.id ? NOTHING : last));
      library?.remove(picture).catch(clip.fail);
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
          <h1 tabIndex={-1}>A photo library inside this tab</h1>
          <p>
            Drop a folder of pictures, search them in words, and ask what they show. The network that sees them runs
            here: no picture is sent anywhere.
          </p>
        </div>
        <ModelCard
          label="Model for pictures"
          state={state}
          loader={clip}
          draft={draft}
          onDraft={setDraft}
          Form={ClipForm}
        />
      </div>
      {/* Before the library, so that it is closed, and has given the focus back, when the library looks where that is. */}
      <PictureDialog
        picture={open}
        library={library}
        pictures={pictures}
        embedder={embedder}
        model={model}
        onOpen={setOpen}
        onLike={searchLike}
        onRemove={remove}
        onFail={clip.fail}
      />
      <AddPanel
        intake={intake}
        waiting={pictures.length - seen.length}
        onLookAgain={embedder && intake.status === 'stopped' ? lookAgain : undefined}
        unkept={library?.unkept()}
        onFiles={addFiles}
        onDraw={model.id === 'tiny' ? draw : undefined}
        drawn={DRAWN_AT_ONCE}
        onStop={stop}
      />
      <div className="workspace pictures">
        <div className="workspace-list">
          <PictureSearch model={model} ready={embedder !== null} wanted={wanted} onChange={setWanted} />
          <PictureGrid
            pictures={pictures}
            found={found}
            active={active}
            onActive={setActive}
            onOpen={setOpen}
            onClear={clear}
          />
        </div>
        <div className="workspace-map">
          <PictureMap
            pictures={seen}
            found={found}
            settled={intake.status !== 'working'}
            active={active}
            onActive={setActive}
            onOpen={setOpen}
          />
          <PictureFigures pictures={seen} intake={intake} found={found} />
        </div>
      </div>
    </>
  );
}
