import { MantineProvider, createTheme, localStorageColorSchemeManager } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { useMemo } from 'react';

import { makeQueryClient } from './api/queries';
import { LiveProvider } from './live/LiveProvider';
import { makeRouter } from './routes';
import { useSessionState } from './session/useSession';

// Kept by the same name in public/theme.js.
const colours = localStorageColorSchemeManager({ key: 'gridmart-theme' });

const theme = createTheme({
  fontFamily: 'var(--page-font)',
  fontFamilyMonospace: 'var(--mono-font)',
  defaultRadius: 'sm',
  cursorType: 'pointer',
  components: {
    // What locks scrolling would do so by a style element, which the page's policy does not allow.
    Modal: { defaultProps: { lockScroll: false, centered: true, transitionProps: { duration: 0 } } },
    Drawer: { defaultProps: { lockScroll: false, transitionProps: { duration: 0 } } },
    Button: { defaultProps: { size: 'xs' } },
    TextInput: { defaultProps: { size: 'xs' } },
    PasswordInput: { defaultProps: { size: 'xs' } },
    NativeSelect: { defaultProps: { size: 'xs' } },
    Textarea: { defaultProps: { size: 'xs' } },
    Checkbox: { defaultProps: { size: 'xs' } },
    SegmentedControl: { defaultProps: { size: 'xs' } },
  },
});

export function App() {
  const client = useMemo(() => makeQueryClient(), []);
  const router = useMemo(() => makeRouter(), []);
  const { view } = useSessionState();
  return (
    <MantineProvider
      theme={theme}
      defaultColorScheme="auto"
      colorSchemeManager={colours}
      // The variables stand in the style sheet: a style element is not allowed.
      withCssVariables={false}
      withGlobalClasses={false}
    >
      <Notifications position="bottom-right" limit={4} />
      <QueryClientProvider client={client}>
        <LiveProvider session={view?.csrf}>
          <RouterProvider router={router} />
        </LiveProvider>
      </QueryClientProvider>
    </MantineProvider>
  );
}
