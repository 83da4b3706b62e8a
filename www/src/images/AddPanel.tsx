import { type ChangeEvent, type DragEvent, useEffect, useRef, useState } from 'react';
import { count } from '../page/format';
import { droppedFiles } from './dropped';
import { IntakeView } from './IntakeView';
import type { Intake } from './useIntake';

interface Props {
  intake: Intake;
  /** The number of images whose vectors are of another source, which have to be embedded again. */
  waiting: number;
  /** Embeds those images again; undefined where that happens by itself. */
  onLookAgain: (() => void) | undefined;
  /** The reason why images are not kept; null where they are. */
  unkept: unknown;
  onFiles: (files: readonly File[]) => void;
  onDraw: (() => void) | undefined;
  drawn: number;
  onStop: () => void;
}

/** The panel through which images come in: they are dropped, pasted, chosen, or drawn by the page. */
export function AddPanel({ intake, waiting, onLookAgain, unkept, onFiles, onDraw, drawn, onStop }: Props) {
  const [over, setOver] = useState(false);
  const panel = useRef<HTMLElement>(null);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);

  useEffect(() => {
    const visible = () => panel.current?.checkVisibility() ?? false;
    const onPaste = (event: ClipboardEvent) => {
      if (visible() && event.clipboardData?.files.length) onFiles([...event.clipboardData.files]);
    };
    // A file that is dropped beside the panel must not replace the page.
    const onMissed = (event: globalThis.DragEvent) => {
      if (visible() && event.dataTransfer?.types.includes('Files')) event.preventDefault();
    };
    document.addEventListener('paste', onPaste);
    addEventListener('dragover', onMissed);
    addEventListener('drop', onMissed);
    return () => {
      document.removeEventListener('paste', onPaste);
      removeEventListener('dragover', onMissed);
      removeEventListener('drop', onMissed);
    };
  }, [onFiles]);

  async function onDrop(event: DragEvent) {
    event.preventDefault();
    setOver(false);
    onFiles(await droppedFiles(event.dataTransfer));
  }

  function onPick({ target }: ChangeEvent<HTMLInputElement>) {
    onFiles([...(target.files ?? [])]);
    // Without this, the same files chosen again would make no event.
    target.value = '';
  }

  return (
    <section
      className="card add"
      ref={panel}
      aria-labelledby="add-title"
      data-over={over}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={(event) => !panel.current?.contains(event.relatedTarget as Node | null) && setOver(false)}
      onDrop={onDrop}
    >
      <div className="add-head">
        <div>
          <h2 id="add-title">Add images</h2>
          <p>Drop files or whole folders here, paste an image, or choose some. They stay in this browser.</p>
        </div>
        <div className="add-actions">
          <button type="button" className="button" onClick={() => files.current?.click()}>
            Choose images
          </button>
          <button type="button" className="button" onClick={() => folder.current?.click()}>
            Choose a folder
          </button>
          {onDraw && (
            <button type="button" className="button" onClick={onDraw}>
              Draw {drawn} images
            </button>
          )}
        </div>
      </div>
      <input ref={files} type="file" hidden multiple accept="image/*" onChange={onPick} />
      <input ref={folder} type="file" hidden multiple webkitdirectory="" onChange={onPick} />
      <IntakeView intake={intake} onStop={onStop} />
      {waiting > 0 && (
        <p className="notice">
          {count(waiting, 'image')} {waiting === 1 ? 'was' : 'were'} seen by other weights or another build: words and
          the map leave {waiting === 1 ? 'it' : 'them'} out until the model has looked again.{' '}
          {onLookAgain && (
            <button type="button" className="button quiet" onClick={onLookAgain}>
              Look again
            </button>
          )}
        </p>
      )}
      {unkept != null && (
        <p className="notice">
          This browser does not keep the images: they are here until the page is closed. It says:{' '}
          {unkept instanceof Error ? unkept.message : String(unkept)}
        </p>
      )}
    </section>
  );
}

declare module 'react' {
  interface InputHTMLAttributes<T> {
    webkitdirectory?: T extends HTMLInputElement ? '' : never;
  }
}
