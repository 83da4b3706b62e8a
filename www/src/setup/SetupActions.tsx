/** The buttons at the end of a model's form. `onCancel` is given only where a model is loaded already. */
export function SetupActions({ onCancel }: { onCancel?: (() => void) | undefined }) {
  return (
    <div className="setup-actions">
      <button type="submit" className="button primary">
        Load the model
      </button>
      {onCancel && (
        <button type="button" className="button" onClick={onCancel}>
          Keep the current one
        </button>
      )}
    </div>
  );
}
