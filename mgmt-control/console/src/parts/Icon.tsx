import type { JSX } from 'react';

// Small pictures, drawn for this page on a grid of 16.
const SHAPES = {
  ok: <path d="M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Zm-3 6.7 2.1 2.1L11 6.2" />,
  warning: <path d="M8 2 1.5 13.5h13L8 2Zm0 4.5v3m0 1.8v.4" />,
  critical: (
    <path d="M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3l3.8-3.8ZM5.8 5.8l4.4 4.4m0-4.4-4.4 4.4" />
  ),
  unknown: (
    <path d="M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM6.2 6.3C6.3 5 7 4.5 8 4.5s1.9.6 1.9 1.7C9.9 7.5 8 7.6 8 9.2m0 1.9v.4" />
  ),
  info: <path d="M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM8 7.2v3.8M8 4.7v.4" />,
  closed: <path d="M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM4.8 8h6.4" />,
  overview: <path d="M2 2h5v6H2zM9 2h5v3H9zM9 7h5v7H9zM2 10h5v4H2z" />,
  map: <path d="M8 2.5v3M8 5.5 3.5 10M8 5.5 12.5 10M6.5 1h3v3h-3zM2 10h3v3H2zM11 10h3v3h-3z" />,
  resources: <path d="M2 2.5h12v4H2zM2 9.5h12v4H2zM4.5 4.5h.1M4.5 11.5h.1" />,
  applications: <path d="M8 1.5 14 5v6l-6 3.5L2 11V5l6-3.5ZM2 5l6 3.5L14 5M8 8.5v6" />,
  calls: <path d="M2 8h3l2-5 3 10 2-5h2" />,
  files: <path d="M2 3.5h4l1.5 2H14v7.5H2z" />,
  data: <path d="M2.5 4c0-3 11-3 11 0v8c0 3-11 3-11 0V4Zm0 0c0 3 11 3 11 0M2.5 8c0 3 11 3 11 0" />,
  people: <path d="M8 2a2.8 2.8 0 1 0 0 5.6A2.8 2.8 0 0 0 8 2ZM2.5 14c0-6 11-6 11 0" />,
  audit: <path d="M3 1.5h7l3 3v10H3zM5.5 6h5M5.5 8.5h5M5.5 11h3" />,
  search: <path d="M6.8 2a4.8 4.8 0 1 0 0 9.6 4.8 4.8 0 0 0 0-9.6Zm3.5 8.3L14 14" />,
  menu: <path d="M2 4h12M2 8h12M2 12h12" />,
  close: <path d="m3.5 3.5 9 9m0-9-9 9" />,
  start: <path d="M4.5 2.5 13 8l-8.5 5.5z" />,
  stop: <path d="M3.5 3.5h9v9h-9z" />,
  kill: <path d="M9 1.5 3.5 9H8l-1 5.5L12.5 7H8z" />,
  upload: <path d="M8 11V2.5m0 0L4.5 6M8 2.5 11.5 6M2.5 10.5v3h11v-3" />,
  copy: <path d="M5.5 5.5h8v8h-8zM3 10.5h-.5v-8h8V3" />,
  live: (
    <path d="M8 6.8a1.2 1.2 0 1 0 0 2.4 1.2 1.2 0 0 0 0-2.4ZM4.8 4.8a4.5 4.5 0 0 0 0 6.4m6.4-6.4a4.5 4.5 0 0 1 0 6.4M2.5 2.5a7.8 7.8 0 0 0 0 11m11-11a7.8 7.8 0 0 1 0 11" />
  ),
  light: (
    <path d="M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6ZM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1m8 8 1 1M3 13l1-1m8-8 1-1" />
  ),
  dark: <path d="M13.5 9.5A6 6 0 1 1 6.5 2.5a5 5 0 0 0 7 7Z" />,
  system: <path d="M2 2.5h12v8.5H2zM8 11v2.5m-3 0h6" />,
  up: <path d="M8 13V3m0 0L4 7m4-4 4 4" />,
  down: <path d="M8 3v10m0 0 4-4m-4 4L4 9" />,
  right: <path d="m6 3 5 5-5 5" />,
  plus: <path d="M8 3v10M3 8h10" />,
  retry: <path d="M13 8a5 5 0 1 1-1.5-3.5L13 6m0-3.5V6H9.5" />,
  person: <path d="M8 2a2.8 2.8 0 1 0 0 5.6A2.8 2.8 0 0 0 8 2ZM2.5 14c0-6 11-6 11 0" />,
} satisfies Record<string, JSX.Element>;

export type IconName = keyof typeof SHAPES;

/** A picture beside a word: it says nothing by itself, so it is hidden from screen readers. */
export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.4}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {SHAPES[name]}
    </svg>
  );
}
