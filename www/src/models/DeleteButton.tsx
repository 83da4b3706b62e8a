import { useEffect, useId, useRef, useState } from 'react';

interface Props {
  name: string;
  weights: string;
  size: string;
  /** The consequence of deleting for the visitor, in a sentence. */
  words: string;
  onDelete: () => Promise<void>;
}

/**
 * A button that deletes a stored model after a question, which takes the button’s place.
 * The focus goes to the answer that keeps the model, and Escape gives that answer.
 */
export function DeleteButton({ name, weights, size, words, onDelete }: Props) {
  const [step, setStep] = useState<'closed' | 'asking' | 'deleting'>('closed');
  const question = useId();
  const open = useRef<HTMLButtonElement>(null);
  const keep = useRef<HTMLButtonElement>(null);
  const before = useRef(step);

  useEffect(() => {
    if (step === 'asking') keep.current?.focus();
    if (step === 'closed' && before.current === 'asking') open.current?.focus();
    before.current = step;
  }, [step]);

  async function remove() {
    if (step === 'deleting') return;
    setStep('deleting');
    await onDelete();
    setStep('closed');
  }

  if (step === 'closed') {
    return (
      <button type="button" className="button" ref={open} onClick={() => setStep('asking')}>
        Delete<span className="unseen"> {`${name}, ${weights}`}</span>
      </button>
    );
  }
  return (
    <fieldset
      className="confirm"
      aria-labelledby={question}
      onKeyDown={(event) => event.key === 'Escape' && step === 'asking' && setStep('closed')}
    >
      <p id={question}>
        <strong>
          Delete {name}, {weights} ({size}), for good?
        </strong>{' '}
        {words}
      </p>
      <div>
        <button
          type="button"
          className="button"
          ref={keep}
          aria-describedby={question}
          onClick={() => step === 'asking' && setStep('closed')}
        >
          Keep it
        </button>
        <button type="button" className="button danger" aria-disabled={step === 'deleting'} onClick={remove}>
          {step === 'deleting' ? 'Deleting…' : 'Delete it'}
        </button>
      </div>
    </fieldset>
  );
}
