//! Queries.

use super::{
    super::{
        super::tree::{Body, Expression, Kind, Literal, Query, Select, SetOperation, SortTerm},
        Emitter,
    },
    NO_LIMIT,
    aggregate::Outputs,
    numeric::Shape,
};

impl Emitter {
    pub(in crate::data::sql::emit) fn maria_query(&mut self, query: &Query) {
        let Query {
            commons,
            body,
            order,
            limit,
            offset,
            outputs,
        } = query;
        let shapes = self.shapes_of(query);
        if !commons.is_empty() {
            self.push("WITH ");
            self.list(commons, |emitter, common| {
                emitter.push(&format!("w{} AS (", common.id.0));
                emitter.query(&common.query, false);
                emitter.push(")");
            });
            self.push(" ");
        }
        let plain = match body {
            Body::Select(select) if !select.distinct => Some(select),
            _ => None,
        };
        let wrapped = plain.is_none() && !order.is_empty();
        if wrapped {
            self.push("SELECT ");
            self.list(0..outputs.len(), |emitter, index| {
                emitter.push(&format!("o.c{index} AS c{index}"));
            });
            self.push(" FROM (");
        }
        match body {
            Body::Select(select) => self.maria_select(select),
            Body::Values(rows) => self.maria_values(rows, &shapes),
            Body::Set {
                operation,
                left,
                right,
            } => {
                if *operation != SetOperation::UnionAll && shapes.contains(&Some(Shape::Loose)) {
                    self.refuse("a set operation over numerics with different scales");
                }
                self.maria_operand(left, &shapes);
                self.push(match operation {
                    SetOperation::Union => " UNION ",
                    SetOperation::UnionAll => " UNION ALL ",
                    SetOperation::Intersect => " INTERSECT ",
                    SetOperation::Except => " EXCEPT ",
                });
                self.maria_operand(right, &shapes);
            }
        }
        if wrapped {
            let named =
                |key: &crate::data::sql::tree::SortKey| matches!(key.term, SortTerm::Output(..));
            if !order.iter().all(named) {
                self.refuse("ORDER BY an expression of DISTINCT or a set operation");
            }
            self.push(") AS o");
            self.maria_order(order, Outputs::Columns(&shapes));
        } else if let Some(select) = plain {
            self.maria_order(order, Outputs::Expressions(&select.outputs));
        }
        self.maria_bounds(limit.as_ref(), offset.as_ref());
    }

    /// One side of a set operation, its numerics written as those of the whole.
    fn maria_operand(&mut self, query: &Query, whole: &[Option<Shape>]) {
        let own = self.shapes_of(query);
        let differs = own
            .iter()
            .zip(whole)
            .any(|(own, whole)| *whole == Some(Shape::Loose) && own != whole);
        let bare = query.commons.is_empty()
            && query.order.is_empty()
            && query.limit.is_none()
            && query.offset.is_none()
            && !matches!(query.body, Body::Set { .. } | Body::Values(_));
        if bare && !differs {
            return self.query(query, false);
        }
        self.push("SELECT ");
        self.list(0..query.outputs.len(), |emitter, index| {
            let loosened = whole.get(index) == Some(&Some(Shape::Loose))
                && own.get(index) != Some(&Some(Shape::Loose));
            emitter.push(&if loosened {
                format!("CAST(s.c{index} AS CHAR) AS c{index}")
            } else {
                format!("s.c{index} AS c{index}")
            });
        });
        self.push(" FROM (");
        self.query(query, false);
        self.push(") AS s");
    }

    fn maria_select(&mut self, select: &Select) {
        let Select {
            distinct,
            outputs,
            from,
            filter,
            grouped,
            group,
            having,
        } = select;
        self.push(if *distinct {
            "SELECT DISTINCT "
        } else {
            "SELECT "
        });
        if outputs.is_empty() {
            self.push("1");
        }
        self.list(outputs.iter().enumerate(), |emitter, (index, output)| {
            if *distinct && emitter.shape_of(output) == Some(Shape::Loose) {
                emitter.refuse("DISTINCT of a numeric without precision and scale");
            }
            emitter.expression(output);
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
            self.list(group, |emitter, key| {
                if emitter.shape_of(key) == Some(Shape::Loose) {
                    emitter.refuse("GROUP BY a numeric without precision and scale");
                }
                let constant = matches!(key.kind, Kind::Literal(_) | Kind::Parameter(_));
                // A constant would be a column's number.
                emitter.push(if constant { "(SELECT " } else { "" });
                emitter.expression(key);
                emitter.push(if constant { ")" } else { "" });
            });
        }
        if let Some(having) = having {
            self.push(" HAVING ");
            self.expression(having);
            // Without an aggregate MariaDB takes it for a condition on rows.
            if *grouped && group.is_empty() {
                self.push(" AND COUNT(*) >= 0");
            }
        }
    }

    fn maria_values(&mut self, rows: &[Vec<Expression>], shapes: &[Option<Shape>]) {
        for (place, row) in rows.iter().enumerate() {
            self.push(if place > 0 {
                " UNION ALL SELECT "
            } else {
                "SELECT "
            });
            self.list(row.iter().enumerate(), |emitter, (index, value)| {
                emitter.beside(value, shapes.get(index).copied().flatten());
                emitter.push(&format!(" AS c{index}"));
            });
        }
    }

    /// MariaDB takes whole numbers and parameters here, and nothing else.
    fn maria_bounds(&mut self, limit: Option<&Expression>, offset: Option<&Expression>) {
        let given = |bound: Option<&'_ Expression>| {
            !bound.is_none_or(|bound| matches!(bound.kind, Kind::Literal(Literal::Null)))
        };
        let known = |bound: &Expression| match &bound.kind {
            Kind::Literal(Literal::Integer(number)) => *number >= 0,
            Kind::Parameter(_) => true,
            _ => false,
        };
        let (limited, moved) = (given(limit), given(offset));
        match limit.filter(|_| limited) {
            Some(limit) if known(limit) => self.around(" LIMIT ", limit, ""),
            Some(_) => self.refuse("LIMIT with an expression"),
            None if moved => self.push(NO_LIMIT),
            None => {}
        }
        match offset.filter(|_| moved) {
            Some(offset) if known(offset) => self.around(" OFFSET ", offset, ""),
            Some(_) => self.refuse("OFFSET with an expression"),
            None => {}
        }
    }
}
