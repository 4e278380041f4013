// A table that draws only the rows that are on the screen. Rows are reached with the arrow keys and
// opened with Enter; on a narrow screen each row is a card.
import { useMediaQuery } from '@mantine/hooks';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef, type ReactNode } from 'react';

import { TableHead } from './TableHead';
import { TableRow } from './TableRow';
import type { Column, Sort } from './column';
import { useRowKeys } from './useRowKeys';
import css from './DataTable.module.css';

export interface Props<Row> {
  label: string;
  columns: Column<Row>[];
  /** How many rows there are in all, those not read yet included. */
  count: number;
  /** A row, if it is read already. */
  row: (index: number) => Row | undefined;
  rowKey: (row: Row) => string;
  onOpen?: (row: Row) => void;
  sort?: Sort;
  onSort?: (sort: Sort) => void;
  /** Told which rows are on the screen, so that they can be read. */
  onRange?: (first: number, last: number) => void;
  /** The height that is left on the page is taken, and scrolled in; else the table grows, up to a limit. */
  fill?: boolean;
  /** Below the rows: a problem, a button for more, or that there is nothing. */
  after?: ReactNode;
}

const ROW_HEIGHT = 38;
const CARD_HEIGHT = 132;
const OVERSCAN = 12;

export function DataTable<Row>(props: Props<Row>) {
  const { label, columns, count, row, rowKey, onOpen, onRange, fill = false, after } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const narrow = useMediaQuery('(max-width: 767px)', window.innerWidth < 768, {
    getInitialValueInEffect: false,
  });
  // eslint-disable-next-line react-hooks/incompatible-library
  const virtual = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => (narrow ? CARD_HEIGHT : ROW_HEIGHT),
    getItemKey: (index) => {
      const at = row(index);
      return at === undefined ? index : rowKey(at);
    },
    overscan: OVERSCAN,
  });
  const items = virtual.getVirtualItems();
  const first = items[0]?.index ?? 0;
  const last = items[items.length - 1]?.index ?? 0;
  useEffect(() => onRange?.(first, last), [onRange, first, last]);
  useEffect(() => virtual.measure(), [virtual, narrow]);
  const keys = useRowKeys({
    count,
    scrollTo: (index) => virtual.scrollToIndex(index),
    open: (index) => {
      const at = row(index);
      if (at !== undefined) onOpen?.(at);
    },
  });
  const tracks = columns.map((column) => column.width).join(' ');

  return (
    <div className={css.frame} data-fill={fill || undefined}>
      <div ref={scroller} className={css.scroller} data-narrow={narrow || undefined}>
        <div
          role="table"
          aria-label={label}
          aria-rowcount={count + 1}
          aria-colcount={columns.length}
          className={css.table}
        >
          <TableHead
            columns={columns}
            tracks={tracks}
            sort={props.sort}
            onSort={props.onSort}
            hidden={narrow}
          />
          {/* The rows in it have the focus; their keys are heard here. */}
          {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
          <div
            role="rowgroup"
            className={css.rows}
            style={{ height: virtual.getTotalSize() }}
            onKeyDown={keys.onKeyDown}
          >
            {items.map((item) => (
              <TableRow
                key={item.key}
                measure={virtual.measureElement}
                index={item.index}
                start={item.start}
                tracks={tracks}
                columns={columns}
                row={row(item.index)}
                narrow={narrow}
                focusable={keys.active === item.index}
                onFocus={keys.onFocus}
                {...(onOpen && { onOpen })}
              />
            ))}
          </div>
        </div>
        {after}
      </div>
    </div>
  );
}
