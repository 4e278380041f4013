//! Aggregates, windows, and the order that they and queries ask for.

use super::{
    super::{
        super::{
            tree::{
                Aggregate, Expression, Kind, Literal, SortKey, SortTerm, Window, WindowCall,
                WindowFrame,
            },
            types::BaseType,
        },
        Emitter,
    },
    numeric::{ANY, Shape},
};

/// What a key of ORDER BY means where it names a column by its place.
#[derive(Clone, Copy)]
pub(super) enum Outputs<'a> {
    /// That expression.
    Expressions(&'a [Expression]),
    /// That column of the relation `o`, of this shape.
    Columns(&'a [Option<Shape>]),
}

#[derive(Clone, Copy)]
enum Key<'a> {
    Expression(&'a Expression),
    /// A column of `o`, and whether it is a numeric as text.
    Column(usize, bool),
}

impl Emitter {
    /// `over` stands behind the function's own parentheses.
    pub(super) fn maria_aggregate(&mut self, aggregate: &Aggregate, over: &dyn Fn(&mut Self)) {
        let Aggregate {
            function,
            arguments,
            distinct,
            // It counts for string_agg alone.
            order: _,
            filter,
        } = aggregate;
        let first = arguments.first();
        let given = first.map_or(BaseType::Unknown, |first| first.sql_type);
        let loose = first.is_some_and(|first| self.shape_of(first) == Some(Shape::Loose));
        let (word, after) = match (function.name, given) {
            ("count", _) => ("COUNT", ""),
            ("sum" | "avg", BaseType::Float4) => return self.refuse("sum and avg of real"),
            ("sum" | "min" | "max", _) if loose => {
                return self.refuse("sum, min and max of a numeric without precision and scale");
            }
            ("sum", BaseType::Int2 | BaseType::Int4) => ("CAST(SUM", " AS SIGNED)"),
            ("sum", BaseType::Numeric)
                if first.is_some_and(|first| {
                    !matches!(self.numeric(first), Shape::Fixed(precision, _) if precision <= 43)
                }) =>
            {
                return self.refuse("sum of numerics of more than 43 digits");
            }
            ("sum", _) => ("SUM", ""),
            ("avg", BaseType::Float8) => ("AVG", ""),
            ("avg", _) => return self.maria_average(aggregate),
            ("min" | "bool_and" | "every", _) => ("MIN", ""),
            ("max" | "bool_or", _) => ("MAX", ""),
            ("string_agg", _) => {
                return self.maria_joined(aggregate);
            }
            (name, _) => return self.refuse(name),
        };
        self.push(word);
        self.push(if *distinct { "(DISTINCT " } else { "(" });
        if let Some(filter) = filter {
            self.around("CASE WHEN ", filter, " THEN ");
        }
        match first {
            None => self.push(if filter.is_some() { "1" } else { "*" }),
            Some(first) => self.comparable(first),
        }
        self.push(if filter.is_some() { " END)" } else { ")" });
        over(self);
        self.push(after);
    }

    fn maria_joined(&mut self, aggregate: &Aggregate) {
        let [text, between] = aggregate.arguments.as_slice() else {
            return;
        };
        let Kind::Literal(Literal::Text(between)) = &between.kind else {
            return self.refuse("string_agg with a separator that is no constant");
        };
        self.push("GROUP_CONCAT(");
        self.push(if aggregate.distinct { "DISTINCT " } else { "" });
        if let Some(filter) = &aggregate.filter {
            self.around("CASE WHEN ", filter, " THEN ");
            self.around("", text, " END");
        } else {
            self.expression(text);
        }
        self.maria_order(&aggregate.order, Outputs::Expressions(&[]));
        self.push(" SEPARATOR ");
        self.quoted(between);
        self.push(")");
    }

    /// ORDER BY with NULLs where PostgreSQL has them.
    pub(super) fn maria_order(&mut self, order: &[SortKey], outputs: Outputs<'_>) {
        if order.is_empty() {
            return;
        }
        self.push(" ORDER BY ");
        self.list(order, |emitter, key| {
            let key_of = match (&key.term, outputs) {
                (SortTerm::Expression(expression), _) => Key::Expression(expression),
                (SortTerm::Output(index, _), Outputs::Expressions(all)) => all
                    .get(*index)
                    .map_or(Key::Column(*index, false), Key::Expression),
                (SortTerm::Output(index, _), Outputs::Columns(shapes)) => {
                    let loose = shapes.get(*index) == Some(&Some(Shape::Loose));
                    Key::Column(*index, loose)
                }
            };
            emitter.maria_sort_key(key, key_of);
        });
    }

    fn maria_sort_key(&mut self, key: &SortKey, of: Key<'_>) {
        if let Key::Expression(constant) = of
            && matches!(constant.kind, Kind::Literal(_) | Kind::Parameter(_))
        {
            // It sorts nothing, and would be a column's number.
            return self.push("(SELECT NULL)");
        }
        // MariaDB takes NULL for the least.
        if key.nulls_first == key.descending {
            self.push("(");
            self.maria_sorted_by(of);
            self.push(if key.nulls_first {
                " IS NULL) DESC, "
            } else {
                " IS NULL), "
            });
        }
        self.maria_sorted_by(of);
        self.push(if key.descending { " DESC" } else { "" });
    }

    fn maria_sorted_by(&mut self, of: Key<'_>) {
        match of {
            Key::Expression(expression) => self.comparable(expression),
            Key::Column(index, false) => self.push(&format!("o.c{index}")),
            Key::Column(index, true) => self.push(&format!("CAST(o.c{index} AS {ANY})")),
        }
    }

    pub(super) fn maria_window(&mut self, window: &Window) {
        let Window {
            call,
            partition,
            order,
            frame,
        } = window;
        let over = |emitter: &mut Self| {
            emitter.push(" OVER (");
            if !partition.is_empty() {
                emitter.push("PARTITION BY ");
                emitter.list(partition, Self::comparable);
            }
            emitter.maria_order(order, Outputs::Expressions(&[]));
            emitter.push(match frame {
                WindowFrame::Standard => "",
                WindowFrame::RowsToCurrent => " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
                WindowFrame::Whole => " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
            });
            emitter.push(")");
        };
        match call {
            WindowCall::Aggregate(aggregate)
                if aggregate.function.name == "string_agg"
                    || aggregate.function.name == "avg"
                        && aggregate.function.result == BaseType::Numeric =>
            {
                let what = format!("{} as a window function", aggregate.function.name);
                self.refuse(&what);
            }
            WindowCall::Aggregate(aggregate) => self.maria_aggregate(aggregate, &over),
            WindowCall::Function {
                function,
                arguments,
            } => {
                if matches!(function.name, "percent_rank" | "cume_dist") {
                    // MariaDB rounds them to ten digits.
                    return self.refuse(function.name);
                }
                let mut plain = arguments.iter().skip(1);
                let away = plain.next();
                let known = away.is_none_or(|away| {
                    matches!(away.kind, Kind::Literal(Literal::Integer(number)) if number >= 0)
                });
                if !known || plain.next().is_some() {
                    return self.refuse("lag and lead with a default or a distance of its own");
                }
                self.push(function.name);
                self.push("(");
                self.list(arguments, Self::expression);
                self.push(")");
                over(self);
            }
        }
    }
}
