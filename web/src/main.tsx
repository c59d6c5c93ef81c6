// Where the page begins.
import { render } from 'preact';
import { App } from './app';
import { applyTheme } from './ui/theme';
import './styles/base.css';
import './styles/shell.css';
import './styles/parts.css';
import './styles/session.css';
import './styles/views.css';

applyTheme();
if (location.pathname === '/') history.replaceState(null, '', '/sessions');
const root = document.getElementById('page');
if (root) render(<App />, root);
