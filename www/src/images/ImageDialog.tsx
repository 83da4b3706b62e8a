import type { ImageTextEmbedder } from 'pilotlight';
import { useEffect, useRef } from 'react';
import type { ImageModel } from './image-models';
import { LabelPanel } from './LabelPanel';
import type { Library, LibraryImage } from './library';
import { useNearest } from './useNearest';
import { useObjectUrl } from './useObjectUrl';

interface Props {
  image: LibraryImage | null;
  library: Library | null;
  images: readonly LibraryImage[];
  embedder: ImageTextEmbedder | null;
  model: ImageModel;
  onOpen: (image: LibraryImage | null) => void;
  onLike: (image: LibraryImage) => void;
  onRemove: (image: LibraryImage) => void;
  onFail: (error: unknown) => void;
}

const SIMILAR = 6;

/** A dialog with an image in large, the labels that fit it, and similar images. */
export function ImageDialog({ image, library, images, embedder, model, onOpen, onLike, onRemove, onFail }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const url = useObjectUrl(image?.preview ?? null);

  // In a modal dialog the browser keeps the focus inside, and gives it back at the end.
  useEffect(() => {
    if (!image) dialog.current?.close();
    // Escape closes it before the state tells so, and another image may come in between.
    else if (!dialog.current?.open) dialog.current?.showModal();
  }, [image]);

  const nearest = useNearest(library, images, image, SIMILAR + 1, onFail);
  const similar = (nearest?.scored ?? []).filter(({ image: { id } }) => id !== image?.id);

  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the click closes the dialog, which Escape does by keyboard
    <dialog
      className="image-dialog"
      ref={dialog}
      aria-labelledby="image-name"
      onClose={() => onOpen(null)}
      onClick={(event) => event.target === dialog.current && onOpen(null)}
    >
      {image && (
        <div className="image-view">
          <div className="image-head">
            <div>
              <h2 id="image-name">{image.name}</h2>
              <p>
                {image.width} × {image.height} pixels
              </p>
            </div>
            <button type="button" className="icon-button" aria-label="Close" onClick={() => onOpen(null)}>
              <svg viewBox="0 0 20 20" aria-hidden="true">
                <path d="M5 5 15 15M15 5 5 15" />
              </svg>
            </button>
          </div>
          <div className="image-large">
            <img src={url ?? undefined} alt={image.name} />
          </div>
          <div className="image-about">
            <LabelPanel key={model.id} image={image} embedder={embedder} model={model} onFail={onFail} />
            {similar.length > 0 && (
              <section aria-labelledby="similar-title">
                <h3 id="similar-title">Similar images</h3>
                <ul className="similar">
                  {similar.slice(0, SIMILAR).map(({ image: other, score }) => (
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
          <div className="image-actions">
            {library?.has(image.id) && (
              <button type="button" className="button" onClick={() => onLike(image)}>
                More like this
              </button>
            )}
            <button type="button" className="button danger" onClick={() => onRemove(image)}>
              Remove
            </button>
          </div>
        </div>
      )}
    </dialog>
  );
}
