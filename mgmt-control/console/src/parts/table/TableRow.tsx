import { memo, type MouseEvent, type ReactElement } from 'react';

import { Bone } from '../Skeleton';
import type { Column } from './column';
import css from './DataTable.module.css';

interface Props<Row> {
  measure: (element: HTMLElement | null) => void;
  index: number;
  start: number;
  tracks: string;
  columns: Column<Row>[];
  row: Row | undefined;
  narrow: boolean;
  focusable: boolean;
  onFocus: (index: number) => void;
  onOpen?: (row: Row) => void;
}

function RowOf<Row>({
  measure,
  index,
  start,
  tracks,
  columns,
  row,
  narrow,
  focusable,
  onFocus,
  onOpen,
}: Props<Row>) {
  const open = (event: MouseEvent) => {
    // Links and buttons in a row mean what they say; a press beside them opens the row.
    if ((event.target as Element).closest('a, button, input, select')) return;
    if (getSelection()?.toString()) return;
    if (row !== undefined) onOpen?.(row);
  };
  return (
    // The keys of a row are heard by the group of rows; a press is a shortcut to the link in it.
    // eslint-disable-next-line jsx-a11y/click-events-have-key-events
    <div
      ref={measure}
      role="row"
      data-index={index}
      aria-rowindex={index + 2}
      tabIndex={focusable ? 0 : -1}
      className={narrow ? css.card : css.row}
      data-opens={onOpen !== undefined || undefined}
      style={{ transform: `translateY(${start}px)`, ...(narrow ? {} : { gridTemplateColumns: tracks }) }}
      onClick={open}
      onFocus={() => onFocus(index)}
    >
      {columns.map((column) => (
        <div key={column.key} role="cell" className={css.cell} data-end={column.end} data-head={column.head}>
          {narrow && column.head !== true && (
            <span className={css.cellTitle} aria-hidden="true">
              {column.title}
            </span>
          )}
          <span className={css.cellValue}>{row === undefined ? <Bone /> : column.render(row)}</span>
        </div>
      ))}
    </div>
  );
}

export const TableRow = memo(RowOf) as <Row>(props: Props<Row>) => ReactElement;
