/**
 * Keeps `data-input` of the document's root at how the visitor acted last, `keyboard` or `pointer`.
 *
 * The styles need it because browsers disagree on whether an element that a script focuses matches `:focus-visible` after a click.
 */
export function trackInputModality(): void {
  const mark = (modality: 'keyboard' | 'pointer') => {
    document.documentElement.dataset.input = modality;
  };
  // While they are captured, so that the mark is there before any handler moves the focus.
  addEventListener(
    'keydown',
    ({ metaKey, ctrlKey, altKey }) => {
      // A shortcut of the browser says nothing about how the visitor goes through the page.
      if (!metaKey && !ctrlKey && !altKey) mark('keyboard');
    },
    true,
  );
  addEventListener('pointerdown', () => mark('pointer'), true);
}
