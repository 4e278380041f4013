//! How MariaDB keeps numerics.
//!
//! PostgreSQL's numerics each have a scale of their own, DECIMALs have that of their
//! column or expression. What has one scale for all rows (a column `numeric(p, s)`,
//! and what is reckoned from such) is a DECIMAL; what has not is kept and handed on as
//! text, and compared as the DECIMAL that holds it. Nothing is reckoned with such text.

use std::collections::HashMap;

use gridmart_schemas::data::SqlType;

use super::super::{
    super::{
        catalog::{Catalog, Table},
        tree::{
            Aggregate, Arithmetic, Body, ColumnUse, Expression, From, Kind, Literal, Query,
            RelationId, Source, WindowCall,
        },
        types::BaseType,
    },
    Emitter, Row,
};

/// The most digits of a DECIMAL, and of those after its point.
pub(super) const PRECISION_MAX: u32 = 65;
pub(super) const SCALE_MAX: u32 = 38;
/// The DECIMAL in which numerics of any scale are compared.
pub(super) const ANY: &str = "DECIMAL(65,27)";
/// What a sum of many needs before its point, beyond its addends.
const SUM_DIGITS: u32 = 22;

/// How a numeric expression is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data::sql) enum Shape {
    /// NULL, which takes any.
    Any,
    /// A DECIMAL: digits, and those after the point.
    Fixed(u32, u32),
    /// A text, with a scale of its own in each row.
    Loose,
}

/// How the numerics of relations are written, by their columns.
#[derive(Debug, Clone, Default)]
pub(in crate::data::sql) struct Shapes {
    catalog: Catalog,
    relations: HashMap<RelationId, Vec<Option<Shape>>>,
    /// Of the row that a rule is about.
    rows: Vec<Vec<Option<Shape>>>,
}

impl Shapes {
    pub(in crate::data::sql::emit) fn of(catalog: &Catalog) -> Self {
        Self {
            catalog: catalog.clone(),
            ..Self::default()
        }
    }
}

impl Shape {
    /// What holds values of both.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Any, shape) | (shape, Self::Any) => shape,
            (Self::Fixed(one, scale), Self::Fixed(two, same)) if scale == same => {
                Self::Fixed(one.max(two), scale)
            }
            _ => Self::Loose,
        }
    }

    /// Of a column.
    fn of_type(sql_type: SqlType) -> Option<Self> {
        match sql_type {
            SqlType::Numeric(Some((precision, scale))) => {
                Some(Self::Fixed(precision.into(), scale.into()))
            }
            SqlType::Numeric(None) => Some(Self::Loose),
            _ => None,
        }
    }
}

fn of_table(table: &Table) -> Vec<Option<Shape>> {
    let columns = table.columns.iter();
    columns
        .map(|column| Shape::of_type(column.column_type))
        .collect()
}

/// Digits of a constant, and those after its point.
pub(super) fn of_digits(text: &str) -> Shape {
    let digits = text.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let count = |part: &str| u32::try_from(part.len()).unwrap_or(u32::MAX);
    Shape::Fixed(
        count(whole).saturating_add(count(fraction)),
        count(fraction),
    )
}

/// Whole numbers as DECIMALs.
pub(super) fn of_integer(sql_type: BaseType) -> (u32, u32) {
    match sql_type.bits() {
        16 => (5, 0),
        32 => (10, 0),
        _ => (19, 0),
    }
}

impl Emitter {
    /// A rule about a row of this table is going to be written.
    pub(in crate::data::sql::emit) fn row_begin(&mut self, table: &str) {
        if self.is_maria() {
            let shapes = self
                .shapes
                .catalog
                .table(table)
                .map(|table| of_table(table));
            self.shapes.rows.push(shapes.unwrap_or_default());
        }
    }

    /// The same of a table that is not there yet.
    pub(in crate::data::sql::emit) fn row_of_table_begin(&mut self, table: &Table) {
        self.shapes.rows.push(of_table(table));
    }

    /// The same of what a query gives.
    pub(in crate::data::sql::emit) fn row_of_query_begin(&mut self, query: &Query) {
        if self.is_maria() {
            let shapes = self.shapes_of(query);
            self.shapes.rows.push(shapes);
        }
    }

    pub(in crate::data::sql::emit) fn row_end(&mut self) {
        self.shapes.rows.pop();
    }

    /// What the columns of a query are, once its relations are known.
    pub(super) fn shapes_of(&mut self, query: &Query) -> Vec<Option<Shape>> {
        for common in &query.commons {
            let shapes = self.shapes_of(&common.query);
            self.shapes.relations.insert(common.id, shapes);
        }
        match &query.body {
            Body::Select(select) => {
                if let Some(from) = &select.from {
                    self.relations_known(from);
                }
                let outputs = select.outputs.iter();
                outputs.map(|output| self.shape_of(output)).collect()
            }
            Body::Values(rows) => {
                let mut shapes: Vec<Option<Shape>> = Vec::new();
                for row in rows {
                    let of_row: Vec<_> = row.iter().map(|value| self.shape_of(value)).collect();
                    shapes = merged(shapes, of_row);
                }
                shapes
            }
            Body::Set { left, right, .. } => {
                let left = self.shapes_of(left);
                let right = self.shapes_of(right);
                merged(left, right)
            }
        }
    }

    /// Learns what the relations of a FROM have, before anything names them.
    pub(super) fn relations_known(&mut self, from: &From) {
        match from {
            From::Join { left, right, .. } => {
                self.relations_known(left);
                self.relations_known(right);
            }
            From::Relation(relation) => {
                let shapes = match &relation.source {
                    Source::Table(table) => {
                        let known = self.shapes.catalog.table(&table.name).cloned();
                        let plain = known.as_deref().map(of_table).unwrap_or_default();
                        self.behind(plain, table.guard.as_deref())
                    }
                    Source::Query { query, guard } => {
                        let plain = self.shapes_of(query);
                        self.behind(plain, guard.as_deref())
                    }
                    Source::Common(common) => self
                        .shapes
                        .relations
                        .get(common)
                        .cloned()
                        .unwrap_or_default(),
                };
                self.shapes.relations.insert(relation.id, shapes);
            }
        }
    }

    /// A written table, whose columns are read where they stand.
    pub(super) fn target_known(&mut self, table: &Table, target: RelationId) {
        self.shapes.relations.insert(target, of_table(table));
    }

    pub(super) fn source_known(&mut self, id: RelationId, shapes: Vec<Option<Shape>>) {
        self.shapes.relations.insert(id, shapes);
    }

    fn behind(
        &mut self,
        plain: Vec<Option<Shape>>,
        guard: Option<&crate::data::sql::rules::Guard>,
    ) -> Vec<Option<Shape>> {
        let Some(guard) = guard else { return plain };
        self.shapes.rows.push(plain.clone());
        self.row.push(Row::Named("g".to_owned()));
        let shown = plain
            .into_iter()
            .enumerate()
            .map(|(index, shape)| guard.mask(index).map_or(shape, |mask| self.shape_of(mask)));
        let shown = shown.collect();
        self.row.pop();
        self.shapes.rows.pop();
        shown
    }

    /// How a numeric is written; `None` for what is no numeric.
    pub(super) fn shape_of(&self, expression: &Expression) -> Option<Shape> {
        if expression.sql_type != BaseType::Numeric {
            return None;
        }
        Some(match &expression.kind {
            Kind::Literal(Literal::Numeric(text)) => of_digits(text),
            Kind::Literal(_) => Shape::Any,
            Kind::Column(used) => self.shape_of_column(used),
            Kind::Arithmetic {
                operator,
                left,
                right,
            } => reckoned(*operator, self.numeric(left), self.numeric(right)),
            Kind::Negate(operand) => self.numeric(operand),
            Kind::Case {
                branches,
                otherwise,
                ..
            } => {
                let values = branches
                    .iter()
                    .map(|(_, then)| then)
                    .chain(otherwise.as_deref());
                self.common(values)
            }
            Kind::Coalesce(list) | Kind::Extreme { list, .. } => self.common(list.iter()),
            Kind::NullIf { left, .. } => self.numeric(left),
            Kind::Cast { operand, to, .. } => match to.bounds() {
                Some((precision, scale)) => Shape::Fixed(precision, scale),
                None if operand.sql_type.is_integer() => {
                    let (precision, scale) = of_integer(operand.sql_type);
                    Shape::Fixed(precision, scale)
                }
                None => Shape::Loose,
            },
            Kind::Call {
                function,
                arguments,
            } => self.shape_of_call(function, arguments),
            Kind::Aggregate(aggregate) => self.shape_of_aggregate(aggregate),
            Kind::Window(window) => match &window.call {
                WindowCall::Aggregate(aggregate) => self.shape_of_aggregate(aggregate),
                WindowCall::Function { arguments, .. } => arguments
                    .first()
                    .map_or(Shape::Loose, |first| self.numeric(first)),
            },
            Kind::Scalar(query) => self.shape_of_scalar(query),
            // A parameter's scale is that of its value.
            _ => Shape::Loose,
        })
    }

    /// The same of what is known to be a numeric.
    pub(super) fn numeric(&self, expression: &Expression) -> Shape {
        self.shape_of(expression).unwrap_or(Shape::Loose)
    }

    /// What holds the values of all of them.
    pub(super) fn common<'a>(&self, values: impl Iterator<Item = &'a Expression>) -> Shape {
        values.fold(Shape::Any, |shape, value| shape.and(self.numeric(value)))
    }

    fn shape_of_scalar(&self, query: &Query) -> Shape {
        // Its relations are learned apart, since they are not written yet.
        let mut inside = Self {
            shapes: self.shapes.clone(),
            row: self.row.clone(),
            ..Self::new(self.engine, false)
        };
        let shapes = inside.shapes_of(query);
        shapes.first().copied().flatten().unwrap_or(Shape::Loose)
    }

    fn shape_of_column(&self, used: &ColumnUse) -> Shape {
        if used.relation == RelationId::ROW {
            if let Some(Row::Coming { values, .. }) = self.row.last()
                && let Some(value) = values.get(&used.index)
            {
                return self.numeric(value);
            }
            let row = self.shapes.rows.last();
            return row
                .and_then(|row| row.get(used.index).copied().flatten())
                .unwrap_or(Shape::Loose);
        }
        let mask = self.masked.get(&used.relation);
        if let Some(mask) = mask.and_then(|guard| guard.mask(used.index)) {
            return self.numeric(mask);
        }
        let known = self.shapes.relations.get(&used.relation);
        known
            .and_then(|columns| columns.get(used.index).copied().flatten())
            .unwrap_or(Shape::Loose)
    }

    fn shape_of_aggregate(&self, aggregate: &Aggregate) -> Shape {
        let Some(argument) = aggregate.arguments.first() else {
            return Shape::Loose;
        };
        match (aggregate.function.name, argument.sql_type) {
            ("sum", BaseType::Numeric) => match self.numeric(argument) {
                Shape::Fixed(precision, scale) => Shape::Fixed(precision + SUM_DIGITS, scale),
                other => other,
            },
            ("sum", integer) => Shape::Fixed(of_integer(integer).0 + SUM_DIGITS, 0),
            ("min" | "max", _) => self.numeric(argument),
            _ => Shape::Loose,
        }
    }

    /// Writes a numeric as the text of its row; what is text stays it.
    pub(super) fn loose(&mut self, expression: &Expression) {
        if self.numeric(expression) == Shape::Loose {
            return self.expression(expression);
        }
        self.around("CAST(", expression, " AS CHAR)");
    }

    /// Writes a numeric so that it fits beside others.
    pub(super) fn beside(&mut self, expression: &Expression, common: Option<Shape>) {
        match common {
            Some(Shape::Loose) => self.loose(expression),
            _ => self.expression(expression),
        }
    }

    /// Whether it is a DECIMAL that MariaDB reckons with and loses nothing.
    pub(super) fn fits(shape: Shape) -> bool {
        match shape {
            Shape::Any => true,
            Shape::Fixed(precision, scale) => precision <= PRECISION_MAX && scale <= SCALE_MAX,
            Shape::Loose => false,
        }
    }
}

fn merged(one: Vec<Option<Shape>>, other: Vec<Option<Shape>>) -> Vec<Option<Shape>> {
    if one.is_empty() {
        return other;
    }
    let both = one.into_iter().zip(other);
    both.map(|(one, other)| match (one, other) {
        (Some(one), Some(other)) => Some(one.and(other)),
        (one, other) => one.or(other),
    })
    .collect()
}

/// PostgreSQL's scale of a result, and the most digits that it takes.
fn reckoned(operator: Arithmetic, left: Shape, right: Shape) -> Shape {
    let (Shape::Fixed(one, scale), Shape::Fixed(two, other)) = (left, right) else {
        return match (left, right) {
            (Shape::Any, shape) | (shape, Shape::Any) if shape != Shape::Loose => shape,
            _ => Shape::Loose,
        };
    };
    let wide = scale.max(other);
    match operator {
        Arithmetic::Add | Arithmetic::Subtract => {
            let whole = one.saturating_sub(scale).max(two.saturating_sub(other));
            Shape::Fixed(whole + wide + 1, wide)
        }
        Arithmetic::Multiply => Shape::Fixed(one + two, scale + other),
        Arithmetic::Modulo => {
            let whole = one.saturating_sub(scale).max(two.saturating_sub(other));
            Shape::Fixed(whole + wide, wide)
        }
        // The scale follows from each row's values.
        Arithmetic::Divide => Shape::Loose,
    }
}
