import type { ReactNode } from 'react';

/** A column of a table: what it is called, how wide it is, what a row shows in it. */
export interface Column<Row> {
  key: string;
  title: string;
  /** A track of a CSS grid: `minmax(8rem, 2fr)`. */
  width: string;
  /** By what the server sorts; absent: not sortable. */
  sort?: string;
  /** Numbers stand at the end. */
  end?: boolean;
  /** On a narrow screen it stands at the top of the card, without its title. */
  head?: boolean;
  render: (row: Row) => ReactNode;
}

export interface Sort {
  by: string;
  descending: boolean;
}

/** The sort that follows a press on a column's head. */
export function nextSort(sort: Sort | undefined, by: string): Sort {
  if (sort?.by !== by) return { by, descending: false };
  return { by, descending: !sort.descending };
}
