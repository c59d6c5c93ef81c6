// Icons, drawn on a grid of 16: one stroke, no fill.

const paths = {
  sessions: 'M2.5 4h11M2.5 8h11M2.5 12h7',
  search: 'M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM10.8 10.8 14 14',
  compare: 'M5 2.5v11M11 2.5v11M2 5.5h3M2 9h3M11 5.5h3M11 9h3',
  projections: 'M2.5 13.5h11M4.5 13V9M8 13V5M11.5 13V2.5',
  consumers: 'M2.5 8h6M6 5l3 3-3 3M11 3.5h1.5a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1H11',
  letters: 'M2.5 4.5h11v8h-11zM2.5 5l5.5 4.5L13.5 5',
  timers: 'M8 14A5.5 5.5 0 1 0 8 3a5.5 5.5 0 0 0 0 11ZM8 5.5v3l2 1.5M6.5 1h3',
  types: 'M3 3h4v4H3zM9 3h4v4H9zM3 9h4v4H3zM11 9v4M9 11h4',
  store: 'M3 4c0-1.1 2.2-2 5-2s5 .9 5 2-2.2 2-5 2-5-.9-5-2ZM3 4v8c0 1.1 2.2 2 5 2s5-.9 5-2V4M3 8c0 1.1 2.2 2 5 2s5-.9 5-2',
  fork: 'M5 3.5v9M5 9c0-3 6-2 6-5.5M5 3.5a1 1 0 1 0 0-.01M5 12.5a1 1 0 1 0 0 .01M11 3.5a1 1 0 1 0 0-.01',
  play: 'M5 3l8 5-8 5z',
  pause: 'M5.5 3v10M10.5 3v10',
  back: 'M10 3 5 8l5 5',
  next: 'M6 3l5 5-5 5',
  down: 'M3 6l5 5 5-5',
  end: 'M4 3l5 5-5 5M12 3v10',
  close: 'M4 4l8 8M12 4l-8 8',
  menu: 'M2.5 4.5h11M2.5 8h11M2.5 11.5h11',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3',
  sun: 'M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
  moon: 'M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7Z',
  auto: 'M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11',
  help: 'M6 6a2 2 0 1 1 2.6 1.9c-.4.2-.6.5-.6 1V9.500M8 12v.2M8 15A7 7 0 1 0 8 1a7 7 0 0 0 0 14Z',
  tool: 'M9.500 6.500 3 13M9 3.500a3 3 0 0 0 3.500 3.500l1-1a3.500 3.500 0 0 1-5 2',
  bookmark: 'M4 2.500h8v11L8 10.500l-4 3z',
  refresh: 'M13 8a5 5 0 1 1-1.500-3.500L13 6M13 2.500V6H9.500',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}
