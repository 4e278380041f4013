import '@mantine/core/styles.layer.css';
import '@mantine/notifications/styles.layer.css';
import './style/tokens.css';
import './style/base.css';

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { App } from './app';

const root = document.getElementById('root');
if (!root) throw new Error('The document has no place for the page.');
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
