import { useEffect, useRef } from 'react';

/**
 * Gives the focus to a model's card where the view that had it is gone, so that a keyboard user stays there. `view` names what the card
 * shows; what it shows at first takes no focus.
 */
export function useCardFocus<T extends HTMLElement>(view: string) {
  const card = useRef<T>(null);
  const before = useRef(view);

  useEffect(() => {
    if (before.current !== view && document.activeElement === document.body && before.current !== 'idle')
      card.current?.focus({ preventScroll: true });
    before.current = view;
  }, [view]);

  return card;
}
