import { useState } from 'react';

const KEY = 'pilotlight-theme';

function isDark(): boolean {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

/** The button that switches between the light and the dark theme; the choice is remembered. */
export function ThemeToggle() {
  const [dark, setDark] = useState(isDark);

  function toggle() {
    const theme = dark ? 'light' : 'dark';
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Storage is blocked, so the choice holds for this visit alone.
    }
    setDark(!dark);
  }

  return (
    <button
      type="button"
      className="icon-button"
      onClick={toggle}
      aria-label={dark ? 'Use the light theme' : 'Use the dark theme'}
    >
      <svg viewBox="0 0 20 20" aria-hidden="true">
        {dark ? (
          <path d="M10 6.2a3.8 3.8 0 1 0 0 7.6 3.8 3.8 0 0 0 0-7.6M10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2M4 4l1.4 1.4M14.6 14.6 16 16M4 16l1.4-1.4M14.6 5.4 16 4" />
        ) : (
          <path d="M16.8 12.2A7.2 7.2 0 0 1 7.8 3.2a7.2 7.2 0 1 0 9 9z" />
        )}
      </svg>
    </button>
  );
}
