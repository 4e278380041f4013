import { words } from '../../words/en';
import { Icon } from '../Icon';
import { nextSort, type Column, type Sort } from './column';
import css from './DataTable.module.css';

interface Props<Row> {
  columns: Column<Row>[];
  tracks: string;
  sort: Sort | undefined;
  onSort: ((sort: Sort) => void) | undefined;
  hidden: boolean;
}

export function TableHead<Row>({ columns, tracks, sort, onSort, hidden }: Props<Row>) {
  return (
    <div role="rowgroup" className={hidden ? 'hidden-visually' : css.headGroup}>
      <div role="row" aria-rowindex={1} className={css.head} style={{ gridTemplateColumns: tracks }}>
        {columns.map((column) => {
          const sorted = column.sort !== undefined && sort?.by === column.sort;
          const order = sort?.descending === true ? 'descending' : 'ascending';
          return (
            <div
              key={column.key}
              role="columnheader"
              className={css.headCell}
              data-end={column.end}
              {...(sorted && { 'aria-sort': order })}
            >
              {column.sort !== undefined && onSort && !hidden ? (
                <button
                  type="button"
                  className={css.sort}
                  title={words.common.sortBy(column.title)}
                  onClick={() => onSort(nextSort(sort, column.sort ?? ''))}
                >
                  {column.title}
                  {sorted && <Icon name={order === 'descending' ? 'down' : 'up'} size={12} />}
                </button>
              ) : (
                column.title
              )}
            </div>
          );
        })}
      </div>
    </div>
  );
}
