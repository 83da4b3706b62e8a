import { count } from '../page/format';
import { useQuestion } from '../page/useQuestion';

/**
 * A button that removes all images after a question, which takes the button’s place.
 * The focus goes to the answer that keeps them, and Escape gives that answer.
 */
export function ClearButton({ images, onClear }: { images: number; onClear: () => void }) {
  const { asking, setAsking, open, keep } = useQuestion();

  if (!asking) {
    return (
      <button type="button" className="button quiet" ref={open} onClick={() => setAsking(true)}>
        Remove all
      </button>
    );
  }
  return (
    <fieldset
      className="clear"
      aria-label={`Remove ${count(images, 'image')} from the library?`}
      onKeyDown={(event) => event.key === 'Escape' && setAsking(false)}
    >
      <button type="button" className="button" ref={keep} onClick={() => setAsking(false)}>
        Keep them
      </button>
      <button type="button" className="button danger" onClick={onClear}>
        Remove {images === 1 ? 'it' : `all ${images}`}
      </button>
    </fieldset>
  );
}
