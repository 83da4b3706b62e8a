import { count } from '../page/format';
import { useQuestion } from '../page/useQuestion';

/** A button that deletes all kept verdicts after a question, which takes the button’s place; Escape keeps them. */
export function DeleteAllButton({ verdicts, onDelete }: { verdicts: number; onDelete: () => void }) {
  const { asking, setAsking, open, keep } = useQuestion();
  if (!asking) {
    return (
      <button type="button" className="button" ref={open} onClick={() => setAsking(true)}>
        Delete all
      </button>
    );
  }
  return (
    <fieldset
      className="detect-foot"
      aria-label={`Delete ${count(verdicts, 'verdict')} for good?`}
      onKeyDown={(event) => event.key === 'Escape' && setAsking(false)}
    >
      <button type="button" className="button" ref={keep} onClick={() => setAsking(false)}>
        Keep them
      </button>
      <button type="button" className="button danger" onClick={onDelete}>
        Delete {verdicts === 1 ? 'it' : `all ${verdicts}`} for good
      </button>
    </fieldset>
  );
}
