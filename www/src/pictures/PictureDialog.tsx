import type { ImageTextEmbedder } from 'pilotlight';
import { useEffect, useRef } from 'react';
import { LabelPanel } from './LabelPanel';
import type { Library, Picture } from './library';
import type { PictureModel } from './picture-models';
import { useNearest } from './useNearest';
import { useObjectUrl } from './useObjectUrl';

interface Props {
  picture: Picture | null;
  library: Library | null;
  pictures: readonly Picture[];
  embedder: ImageTextEmbedder | null;
  model: PictureModel;
  onOpen: (picture: Picture | null) => void;
  onLike: (picture: Picture) => void;
  onRemove: (picture: Picture) => void;
  onFail: (error: unknown) => void;
}

const SIMILAR = 6;

/** One picture, large: what it shows, and which others are like it. */
export function PictureDialog({
  picture,
  library,
  pictures,
  embedder,
  model,
  onOpen,
  onLike,
  onRemove,
  onFail,
}: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const url = useObjectUrl(picture?.preview ?? null);
  const open = picture !== null;

  // The browser keeps the focus inside, and gives it back.
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);

  const nearest = useNearest(library, pictures, picture, SIMILAR + 1, onFail);
  const similar = (nearest?.scored ?? []).filter(({ picture: { id } }) => id !== picture?.id);

  return (
    <dialog
      className="picture-dialog"
      ref={dialog}
      aria-labelledby="picture-name"
      onClose={() => onOpen(null)}
      onClick={(event) => event.target === dialog.current && onOpen(null)}
    >
      {picture && (
        <div className="picture-view">
          <div className="picture-head">
            <div>
              <h2 id="picture-name">{picture.name}</h2>
              <p>
                {picture.width} × {picture.height} pixels
              </p>
            </div>
            <button type="button" className="icon-button" aria-label="Close" onClick={() => onOpen(null)}>
              <svg viewBox="0 0 20 20" aria-hidden="true">
                <path d="M5 5 15 15M15 5 5 15" />
              </svg>
            </button>
          </div>
          <div className="picture-large">
            <img src={url ?? undefined} alt={picture.name} />
          </div>
          <div className="picture-about">
            <LabelPanel key={model.id} picture={picture} embedder={embedder} model={model} onFail={onFail} />
            {similar.length > 0 && (
              <section aria-labelledby="similar-title">
                <h3 id="similar-title">Similar pictures</h3>
                <ul className="similar">
                  {similar.slice(0, SIMILAR).map(({ picture: other, score }) => (
                    <li key={other.id}>
                      <button
                        type="button"
                        aria-label={`${other.name}, score ${score.toFixed(2)}`}
                        title={other.name}
                        onClick={() => onOpen(other)}
                      >
                        <img src={other.url} alt="" width={72} height={72} />
                      </button>
                    </li>
                  ))}
                </ul>
              </section>
            )}
          </div>
          <div className="picture-actions">
            {library?.has(picture.id) && (
              <button type="button" className="button" onClick={() => onLike(picture)}>
                More like this
              </button>
            )}
            <button type="button" className="button danger" onClick={() => onRemove(picture)}>
              Remove
            </button>
          </div>
        </div>
      )}
    </dialog>
  );
}
