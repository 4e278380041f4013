//! Queries.

use super::{
    super::tree::{
        Body, Expression, From, JoinKind, Kind, Literal, Output, Query, Relation, Select,
        SetOperation, SortKey, SortTerm, Source,
    },
    Emitter,
};

impl Emitter {
    /// A query, its columns called c0, c1 … With `compared` its rows are compared
    /// with those of another.
    pub(super) fn query(&mut self, query: &Query, compared: bool) {
        let Query {
            commons,
            body,
            order,
            limit,
            offset,
            outputs,
        } = query;
        if self.is_maria() {
            return self.maria_query(query);
        }
        if !commons.is_empty() {
            self.push("WITH ");
            self.list(commons, |emitter, common| {
                emitter.push(&format!("w{} AS (", common.id.0));
                emitter.query(&common.query, false);
                emitter.push(")");
            });
            self.push(" ");
        }
        match body {
            Body::Select(select) => self.select(select, compared),
            Body::Values(rows) => self.values(rows, outputs, compared),
            Body::Set {
                operation,
                left,
                right,
            } => {
                self.operand(left, *operation);
                self.push(match operation {
                    SetOperation::Union => " UNION ",
                    SetOperation::UnionAll => " UNION ALL ",
                    SetOperation::Intersect => " INTERSECT ",
                    SetOperation::Except => " EXCEPT ",
                });
                self.operand(right, *operation);
            }
        }
        self.order(order);
        self.bounds(limit.as_ref(), offset.as_ref());
    }

    /// One side of a set operation. SQLite takes no parentheses there.
    fn operand(&mut self, query: &Query, operation: SetOperation) {
        let compared = operation != SetOperation::UnionAll;
        let plain = query.commons.is_empty()
            && query.order.is_empty()
            && query.limit.is_none()
            && query.offset.is_none();
        if plain && !matches!(query.body, Body::Set { .. }) {
            return self.query(query, compared);
        }
        self.push("SELECT ");
        self.list(
            query.outputs.iter().enumerate(),
            |emitter, (index, output)| {
                emitter.push(&format!("c{index}"));
                if compared {
                    emitter.collation(output.sql_type);
                }
                emitter.push(&format!(" AS c{index}"));
            },
        );
        self.push(" FROM (");
        self.query(query, false);
        self.push(") AS s");
    }

    fn select(&mut self, select: &Select, compared: bool) {
        let Select {
            distinct,
            outputs,
            from,
            filter,
            grouped: _,
            group,
            having,
        } = select;
        self.push(if *distinct {
            "SELECT DISTINCT "
        } else {
            "SELECT "
        });
        self.list(outputs.iter().enumerate(), |emitter, (index, output)| {
            emitter.expression(output);
            if *distinct || compared {
                emitter.collation(output.sql_type);
            }
            emitter.push(&format!(" AS c{index}"));
        });
        if let Some(from) = from {
            self.push(" FROM ");
            self.from(from, false);
        }
        if let Some(filter) = filter {
            self.push(" WHERE ");
            self.expression(filter);
        }
        if !group.is_empty() {
            self.push(" GROUP BY ");
            // A constant would be a column's number.
            self.list(group, |emitter, key| match &key.kind {
                Kind::Literal(_) | Kind::Parameter(_) => {
                    emitter.push("(SELECT ");
                    emitter.expression(key);
                    emitter.push(")");
                }
                _ => emitter.comparable(key),
            });
        }
        if let Some(having) = having {
            self.push(" HAVING ");
            self.expression(having);
        }
    }

    fn values(&mut self, rows: &[Vec<Expression>], outputs: &[Output], compared: bool) {
        self.push("SELECT ");
        self.list(outputs.iter().enumerate(), |emitter, (index, output)| {
            emitter.push(&format!("column{}", index + 1));
            if compared {
                emitter.collation(output.sql_type);
            }
            emitter.push(&format!(" AS c{index}"));
        });
        self.push(" FROM (VALUES ");
        self.list(rows, |emitter, row| {
            emitter.push("(");
            emitter.list(row, super::Emitter::expression);
            emitter.push(")");
        });
        self.push(") AS v");
    }

    pub(super) fn order(&mut self, order: &[SortKey]) {
        if order.is_empty() {
            return;
        }
        self.push(" ORDER BY ");
        self.list(order, |emitter, key| {
            match &key.term {
                SortTerm::Output(index, sql_type) => {
                    emitter.push(&(index + 1).to_string());
                    emitter.collation(*sql_type);
                }
                // A constant sorts nothing, and would be a column's number.
                SortTerm::Expression(Expression {
                    kind: Kind::Literal(_) | Kind::Parameter(_),
                    sql_type: _,
                }) => {
                    emitter.push("(SELECT NULL)");
                }
                SortTerm::Expression(expression) => emitter.comparable(expression),
            }
            emitter.push(if key.descending { " DESC" } else { " ASC" });
            emitter.push(if key.nulls_first {
                " NULLS FIRST"
            } else {
                " NULLS LAST"
            });
        });
    }

    pub(super) fn bounds(&mut self, limit: Option<&Expression>, offset: Option<&Expression>) {
        match limit {
            Some(limit) => {
                self.push(" LIMIT ");
                self.bound(limit, "gridmart_limit");
            }
            None if offset.is_some() && self.is_sqlite() => self.push(" LIMIT -1"),
            None => {}
        }
        if let Some(offset) = offset {
            self.push(" OFFSET ");
            self.bound(offset, "gridmart_offset");
        }
    }

    fn bound(&mut self, bound: &Expression, function: &str) {
        let plain = matches!(bound.kind, Kind::Literal(Literal::Integer(_)));
        if plain || !self.is_sqlite() {
            return self.expression(bound);
        }
        self.push(function);
        self.push("(");
        self.expression(bound);
        self.push(")");
    }

    pub(super) fn from(&mut self, from: &From, nested: bool) {
        match from {
            From::Relation(relation) => self.relation(relation),
            From::Join {
                kind,
                left,
                right,
                condition,
            } => {
                self.push(if nested { "(" } else { "" });
                self.from(left, false);
                if *kind == JoinKind::Full && self.is_maria() {
                    self.refuse("FULL JOIN");
                }
                self.push(match (kind, condition, self.is_sqlite()) {
                    (JoinKind::Inner, None, false) => " CROSS JOIN ",
                    (JoinKind::Inner, ..) => " JOIN ",
                    (JoinKind::Left, ..) => " LEFT JOIN ",
                    (JoinKind::Right, ..) => " RIGHT JOIN ",
                    (JoinKind::Full, ..) => " FULL JOIN ",
                });
                self.from(right, true);
                match condition {
                    Some(condition) => {
                        self.push(" ON ");
                        self.expression(condition);
                    }
                    None if *kind == JoinKind::Inner => {}
                    None => self.push(if self.is_sqlite() {
                        " ON 1"
                    } else {
                        " ON true"
                    }),
                }
                self.push(if nested { ")" } else { "" });
            }
        }
    }

    fn relation(&mut self, relation: &Relation) {
        let Relation { id, source } = relation;
        match source {
            Source::Table(table) => self.table(table),
            Source::Query { query, guard } => {
                self.push("(");
                match guard {
                    None => self.query(query, false),
                    Some(guard) => self.guarded_query(query, guard),
                }
                self.push(")");
            }
            Source::Common(common) => self.push(&format!("w{}", common.0)),
        }
        let alias = self.alias(*id);
        self.push(&format!(" AS {alias}"));
    }
}
