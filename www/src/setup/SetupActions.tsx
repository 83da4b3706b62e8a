/** What a form about a model ends with. `onCancel`: there is a model already. */
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
