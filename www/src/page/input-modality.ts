/**
 * Keeps `data-input` of the document's root at how the visitor acted last, `keyboard` or `pointer`.
 *
 * The styles need it because an element that a script focuses may match `:focus-visible` for a visitor who uses no keyboard: where
 * nothing had the focus before, as after a move through the history, and in browsers where a click gives a link no focus.
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
