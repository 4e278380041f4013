//! Whether what a grouped query answers is told by its groups.

use std::cell::RefCell;

use super::{
    super::{
        refusal::{Judgement, Refusal},
        tree::{Expression, Kind, Part, Query, RelationId, Select, SortKey, SortTerm},
    },
    Names,
};

pub(super) struct Grouping<'a> {
    group: &'a [Expression],
    names: &'a Names,
    /// Columns that follow from a primary key in the group.
    following: RefCell<Vec<Expression>>,
}

impl Grouping<'_> {
    /// Finds out whether a query is grouped, and if so refuses columns outside of
    /// aggregates that differ within a group. Other engines pick any row for them.
    pub(super) fn check(select: &mut Select, order: &[SortKey], names: &Names) -> Judgement<()> {
        let is_aggregate = |inner: &Expression| matches!(inner.kind, Kind::Aggregate(_));
        let sorted = order.iter().filter_map(|key| match &key.term {
            SortTerm::Expression(expression) => Some(expression),
            SortTerm::Output(..) => None,
        });
        let answered: Vec<&Expression> = select
            .outputs
            .iter()
            .chain(sorted)
            .chain(&select.having)
            .collect();
        let aggregated = answered
            .iter()
            .any(|expression| expression.any(&is_aggregate));
        // SQLite knows one group of all rows by an aggregate in what is selected.
        let selected = select
            .outputs
            .iter()
            .any(|output| output.any(&is_aggregate));
        if select.group.is_empty() && !selected && (aggregated || select.having.is_some()) {
            return Err(Refusal::unsupported(
                "an aggregate or HAVING beside a SELECT without GROUP BY and aggregate",
            ));
        }
        let grouped = aggregated || select.having.is_some() || !select.group.is_empty();
        if grouped {
            let following = RefCell::default();
            let grouping = Grouping {
                group: &select.group,
                names,
                following,
            };
            for expression in answered {
                grouping.expression(expression)?;
            }
            // They are grouped by as well: through a view no engine knows of the key.
            let following = grouping.following.into_inner();
            select.group.extend(following);
        }
        select.grouped = grouped;
        Ok(())
    }

    fn expression(&self, expression: &Expression) -> Judgement<()> {
        if self.group.contains(expression) {
            return Ok(());
        }
        match &expression.kind {
            Kind::Aggregate(_) => return Ok(()),
            Kind::Column(_) => return self.column(expression),
            _ => {}
        }
        let mut judged = Ok(());
        expression.parts(&mut |part| {
            if judged.is_ok() {
                judged = match part {
                    Part::Expression(inner) => self.expression(inner),
                    Part::Query(query) => self.query(query),
                };
            }
        });
        judged
    }

    fn column(&self, expression: &Expression) -> Judgement<()> {
        let Kind::Column(used) = &expression.kind else {
            return Ok(());
        };
        if !self.names.has_relation(used.relation) || self.group.contains(expression) {
            return Ok(());
        }
        let of_relation = |(relation, key): &(RelationId, Vec<usize>)| {
            *relation == used.relation && self.has_key(*relation, key)
        };
        if expression.sql_type.is_comparable() && self.names.keys().iter().any(of_relation) {
            let mut following = self.following.borrow_mut();
            if !following.contains(expression) {
                following.push(expression.clone());
            }
            return Ok(());
        }
        let message = format!(
            "column \"{}\" must appear in the GROUP BY clause or be used in an aggregate function",
            used.name
        );
        Err(Refusal::new("42803", message))
    }

    /// Whether the groups tell the whole primary key, and with it the row.
    fn has_key(&self, relation: RelationId, key: &[usize]) -> bool {
        !key.is_empty()
            && key.iter().all(|index| {
                self.group.iter().any(|group| {
                    matches!(&group.kind, Kind::Column(used) if used.relation == relation && used.index == *index)
                })
            })
    }

    /// Inside of sub-queries only whole columns of the group are known.
    fn query(&self, query: &Query) -> Judgement<()> {
        let bad = query.any_deep(&|inner| {
            matches!(inner.kind, Kind::Column(_)) && self.column(inner).is_err()
        });
        if bad {
            let message =
                "a sub-query uses a column of the outer query that is not in its GROUP BY clause";
            return Err(Refusal::new("42803", message));
        }
        Ok(())
    }
}
