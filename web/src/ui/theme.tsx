// Light, dark, or as the system has it.
import { useState } from 'preact/hooks';
import { Icon } from './icons';

const KEY = 'retold-theme';
type Theme = 'auto' | 'light' | 'dark';
const order: Theme[] = ['auto', 'light', 'dark'];

function saved(): Theme {
  const word = localStorage.getItem(KEY) as Theme | null;
  return word && order.includes(word) ? word : 'auto';
}

export function applyTheme(theme: Theme = saved()): void {
  const root = document.documentElement;
  if (theme === 'auto') root.removeAttribute('data-theme');
  else root.setAttribute('data-theme', theme);
  dispatchEvent(new Event('theme'));
}

export function ThemeSwitch() {
  const [theme, setTheme] = useState(saved);
  const next = order[(order.indexOf(theme) + 1) % order.length] ?? 'auto';
  const change = () => {
    localStorage.setItem(KEY, next);
    setTheme(next);
    applyTheme(next);
  };
  const label = `Colours: ${theme === 'auto' ? 'as the system' : theme}. Change to ${next === 'auto' ? 'as the system' : next}`;
  return (
    <button class="icon-button" aria-label={label} title={label} onClick={change}>
      <Icon name={theme === 'light' ? 'sun' : theme === 'dark' ? 'moon' : 'auto'} />
    </button>
  );
}
