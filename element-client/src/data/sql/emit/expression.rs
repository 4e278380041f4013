//! Expressions.

use super::{
    super::{
        function::WindowShape,
        tree::{
            Aggregate, Arithmetic, ColumnUse, Comparison, Context, Expression, Kind, Literal,
            RelationId, Test, Window, WindowCall, WindowFrame,
        },
        types::BaseType,
    },
    Argument, EXPRESSION_DEPTH_MAX, Emitter, Row,
};

/// Up to here every whole number is written as a float without loss.
const PLAIN_FLOAT_MAX: f64 = 1e15;

impl Emitter {
    pub(super) fn expression(&mut self, expression: &Expression) {
        if self.depth > EXPRESSION_DEPTH_MAX {
            self.too_deep = true;
        }
        if self.is_full() || self.too_deep {
            return;
        }
        self.depth += 1;
        if self.is_maria() {
            self.maria_kind(expression);
        } else {
            self.kind(expression);
        }
        self.depth -= 1;
    }

    fn kind(&mut self, expression: &Expression) {
        let sql_type = expression.sql_type;
        match &expression.kind {
            Kind::Literal(literal) => self.literal(literal, sql_type),
            Kind::Parameter(index) => self.typed(sql_type, |emitter| {
                emitter.argument(Argument::Parameter(*index));
            }),
            Kind::Context(context) => self.context(context),
            Kind::Column(used) => self.column(used),
            Kind::And(sides) => self.junction(sides, " AND "),
            Kind::Or(sides) => self.junction(sides, " OR "),
            Kind::Not(operand) => self.around("(NOT ", operand, ")"),
            Kind::Is {
                operand,
                test,
                negated,
            } => {
                let test = match (test, negated) {
                    (Test::Null, false) => " IS NULL)",
                    (Test::Null, true) => " IS NOT NULL)",
                    (Test::True, false) => " IS TRUE)",
                    (Test::True, true) => " IS NOT TRUE)",
                    (Test::False, false) => " IS FALSE)",
                    (Test::False, true) => " IS NOT FALSE)",
                };
                self.around("(", operand, test);
            }
            Kind::Compare {
                operator,
                left,
                right,
            } => self.compare(left, comparison(*operator), right),
            Kind::Distinct {
                left,
                right,
                negated,
            } => {
                let sign = match (self.is_sqlite(), negated) {
                    (true, false) => " IS NOT ",
                    (true, true) => " IS ",
                    (false, false) => " IS DISTINCT FROM ",
                    (false, true) => " IS NOT DISTINCT FROM ",
                };
                self.compare(left, sign, right);
            }
            Kind::Arithmetic {
                operator,
                left,
                right,
            } => self.arithmetic(*operator, left, right, sql_type),
            Kind::Negate(operand) => self.negate(operand, sql_type),
            Kind::Cast { operand, to, mode } => self.cast(operand, *to, *mode),
            Kind::Call {
                function,
                arguments,
            } => {
                let template = if self.is_sqlite() {
                    function.sqlite
                } else {
                    function.postgres
                };
                if template.is_empty() {
                    self.push(&format!("pg_catalog.\"{}\"(", function.name));
                    self.list(arguments, super::Emitter::expression);
                    self.push(")");
                } else {
                    self.template(template, arguments);
                }
            }
            _ => self.composed(expression),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one match over all kinds")]
    fn composed(&mut self, expression: &Expression) {
        match &expression.kind {
            Kind::Between {
                operand,
                low,
                high,
                negated,
            } => {
                self.push("(");
                self.comparable(operand);
                self.push(if *negated {
                    " NOT BETWEEN "
                } else {
                    " BETWEEN "
                });
                self.expression(low);
                self.push(" AND ");
                self.around("", high, ")");
            }
            Kind::InList {
                operand,
                list,
                negated,
            } => {
                self.push("(");
                self.comparable(operand);
                self.push(if *negated { " NOT IN (" } else { " IN (" });
                self.list(list, super::Emitter::expression);
                self.push("))");
            }
            Kind::InQuery {
                operand,
                query,
                negated,
            } => {
                self.push("(");
                self.comparable(operand);
                self.push(if *negated { " NOT IN (" } else { " IN (" });
                self.query(query, false);
                self.push("))");
            }
            Kind::Exists { query, negated } => {
                self.push(if *negated {
                    "(NOT EXISTS ("
                } else {
                    "(EXISTS ("
                });
                self.query(query, false);
                self.push("))");
            }
            Kind::Scalar(query) => {
                // SQLite would take the first of several rows.
                let checked = self.is_sqlite() && !query.is_single();
                self.push(if checked {
                    "(SELECT gridmart_single(c0) FROM ("
                } else {
                    "("
                });
                self.query(query, false);
                self.push(if checked { "))" } else { ")" });
            }
            Kind::Like {
                operand,
                pattern,
                escape,
                insensitive,
                negated,
            } => {
                self.like(operand, pattern, escape.as_deref(), *insensitive, *negated);
            }
            Kind::Case {
                operand,
                branches,
                otherwise,
            } => {
                self.push("CASE ");
                if let Some(operand) = operand {
                    self.comparable(operand);
                }
                for (when, then) in branches {
                    self.around(" WHEN ", when, "");
                    self.around(" THEN ", then, "");
                }
                if let Some(otherwise) = otherwise {
                    self.around(" ELSE ", otherwise, "");
                }
                self.push(" END");
            }
            Kind::Coalesce(values) => match values.as_slice() {
                [only] => self.expression(only),
                values => {
                    self.push("COALESCE(");
                    self.list(values, super::Emitter::expression);
                    self.push(")");
                }
            },
            Kind::NullIf { left, right } => {
                self.push("NULLIF(");
                self.comparable(left);
                self.around(", ", right, ")");
            }
            Kind::Extreme { greatest, list } => self.extreme(*greatest, list, expression.sql_type),
            Kind::Aggregate(aggregate) => self.aggregate(aggregate),
            Kind::Window(window) => self.window(window),
            _ => {}
        }
    }

    pub(super) fn around(&mut self, before: &str, inner: &Expression, after: &str) {
        self.push(before);
        self.expression(inner);
        self.push(after);
    }

    /// A value as it is compared and sorted by.
    pub(super) fn comparable(&mut self, value: &Expression) {
        if self.is_maria() {
            return self.maria_comparable(value);
        }
        self.expression(value);
        self.collation(value.sql_type);
    }

    fn compare(&mut self, left: &Expression, sign: &str, right: &Expression) {
        self.push("(");
        self.comparable(left);
        self.push(sign);
        self.around("", right, ")");
    }

    /// Halved again and again, so that it does not lean as deep as it is long.
    pub(super) fn junction(&mut self, sides: &[Expression], word: &str) {
        match sides {
            [] => {}
            [only] => self.expression(only),
            sides => {
                let (first, second) = sides.split_at(sides.len() / 2);
                self.push("(");
                self.junction(first, word);
                self.push(word);
                self.junction(second, word);
                self.push(")");
            }
        }
    }

    pub(super) fn template(&mut self, template: &str, arguments: &[Expression]) {
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            self.push(before);
            let Some((hole, behind)) = after.split_once('}') else {
                break;
            };
            match hole
                .parse::<usize>()
                .ok()
                .and_then(|index| arguments.get(index))
            {
                Some(argument) => self.expression(argument),
                None => self.list(arguments, super::Emitter::expression),
            }
            rest = behind;
        }
        self.push(rest);
    }

    pub(super) fn column(&mut self, used: &ColumnUse) {
        if used.relation == RelationId::ROW {
            return self.row_column(used);
        }
        let alias = self.alias(used.relation);
        let mask = self.masked.get(&used.relation).cloned();
        if let Some(mask) = mask.as_ref().and_then(|guard| guard.mask(used.index)) {
            self.with_row(Row::Named(alias), |emitter| emitter.expression(mask));
            return;
        }
        if self.is_maria() && alias == super::maria::EXCLUDED {
            self.push("VALUES(");
            self.name(&used.name);
            return self.push(")");
        }
        self.column_of(&alias, &used.name);
    }

    fn row_column(&mut self, used: &ColumnUse) {
        match self.row.last().cloned() {
            Some(Row::Named(alias)) => self.column_of(&alias, &used.name),
            Some(Row::Coming { values, otherwise }) => match values.get(&used.index) {
                Some(value) => self.expression(value),
                None => self.column_of(&otherwise, &used.name),
            },
            // Rules are written with a row only; NULL answers nothing.
            None => self.push("NULL"),
        }
    }

    pub(super) fn column_of(&mut self, alias: &str, name: &str) {
        if !alias.is_empty() {
            self.push(alias);
            self.push(".");
        }
        self.name(name);
    }

    /// On PostgreSQL a parameter is told its type.
    fn typed(&mut self, sql_type: BaseType, write: impl FnOnce(&mut Self)) {
        if self.is_sqlite() {
            return write(self);
        }
        self.push("CAST(");
        write(self);
        self.push(&format!(" AS {})", sql_type.name()));
    }

    fn context(&mut self, context: &Context) {
        if self.is_sqlite() {
            return self.argument(Argument::Context(context.clone()));
        }
        match context {
            Context::CurrentUser => self.push("pg_catalog.current_setting('gridmart.user')"),
            Context::Attribute(name) => {
                let text = format!(
                    "NULLIF(pg_catalog.current_setting('gridmart.attribute_{name}', true), '')"
                );
                self.push(&text);
            }
            Context::Now => self.push("pg_catalog.now()"),
        }
    }

    pub(super) fn literal(&mut self, literal: &Literal, sql_type: BaseType) {
        if self.is_sqlite() {
            return self.sqlite_literal(literal);
        }
        match literal {
            Literal::Null => return self.push(&format!("CAST(NULL AS {})", sql_type.name())),
            Literal::Bool(truth) => return self.push(if *truth { "true" } else { "false" }),
            Literal::Integer(number) => self.quoted(&number.to_string()),
            Literal::Float(number) => {
                self.quoted(&gridmart_fabric::sqlite::functions::value::float_text(
                    *number,
                    i64::from(sql_type.bits()),
                ));
            }
            Literal::Numeric(text) | Literal::Text(text) => self.quoted(text),
            Literal::Bytes(bytes) => self.quoted(&format!("\\x{}", hexadecimal(bytes))),
        }
        self.push(&format!("::{}", sql_type.name()));
    }

    fn sqlite_literal(&mut self, literal: &Literal) {
        match literal {
            Literal::Null => self.push("NULL"),
            Literal::Bool(truth) => self.push(if *truth { "1" } else { "0" }),
            Literal::Integer(number) if *number < 0 => self.push(&format!("({number})")),
            Literal::Integer(number) => self.push(&number.to_string()),
            Literal::Float(number) if number.is_nan() => self.push("'NaN'"),
            Literal::Float(number)
                if number.fract() == 0.0
                    && (0.0..PLAIN_FLOAT_MAX).contains(number)
                    && number.is_sign_positive() =>
            {
                self.push(&format!("{number:.1}"));
            }
            // Read from text, a float might not be the nearest.
            Literal::Float(_) => self.argument(Argument::Constant(literal.clone())),
            Literal::Numeric(text) | Literal::Text(text) => self.quoted(text),
            Literal::Bytes(bytes) => self.push(&format!("x'{}'", hexadecimal(bytes))),
        }
    }

    fn arithmetic(
        &mut self,
        operator: Arithmetic,
        left: &Expression,
        right: &Expression,
        sql_type: BaseType,
    ) {
        if !self.is_sqlite() {
            let sign = match operator {
                Arithmetic::Add => " + ",
                Arithmetic::Subtract => " - ",
                Arithmetic::Multiply => " * ",
                Arithmetic::Divide => " / ",
                Arithmetic::Modulo => " % ",
            };
            self.around("(", left, sign);
            return self.around("", right, ")");
        }
        let word = match operator {
            Arithmetic::Add => "add",
            Arithmetic::Subtract => "sub",
            Arithmetic::Multiply => "mul",
            Arithmetic::Divide => "div",
            Arithmetic::Modulo => "mod",
        };
        self.push(&format!("gridmart_{}_{word}(", family(sql_type)));
        self.expression(left);
        self.around(", ", right, "");
        self.bits(sql_type);
        self.push(")");
    }

    fn negate(&mut self, operand: &Expression, sql_type: BaseType) {
        if !self.is_sqlite() {
            return self.around("(- ", operand, ")");
        }
        self.push(&format!("gridmart_{}_neg(", family(sql_type)));
        self.expression(operand);
        if sql_type.is_integer() {
            self.bits(sql_type);
        }
        self.push(")");
    }

    /// The width of a whole number or float, as SQLite's functions take it.
    pub(super) fn bits(&mut self, sql_type: BaseType) {
        if sql_type != BaseType::Numeric {
            self.push(&format!(", {}", sql_type.bits()));
        }
    }

    fn like(
        &mut self,
        operand: &Expression,
        pattern: &Expression,
        escape: Option<&Expression>,
        insensitive: bool,
        negated: bool,
    ) {
        if self.is_sqlite() {
            self.push(if negated { "(NOT " } else { "(" });
            self.push(if insensitive {
                "gridmart_ilike("
            } else {
                "gridmart_like("
            });
            self.expression(operand);
            self.around(", ", pattern, ", ");
            match escape {
                None => self.push("'\\'"),
                Some(escape) => self.expression(escape),
            }
            return self.push("))");
        }
        self.around("(", operand, if negated { " NOT " } else { " " });
        self.around(if insensitive { "ILIKE " } else { "LIKE " }, pattern, "");
        if let Some(escape) = escape {
            self.around(" ESCAPE ", escape, "");
        }
        self.push(")");
    }

    fn extreme(&mut self, greatest: bool, list: &[Expression], sql_type: BaseType) {
        self.push(
            match (self.is_sqlite(), greatest, sql_type == BaseType::Numeric) {
                (false, true, _) => "GREATEST(",
                (false, false, _) => "LEAST(",
                (true, true, false) => "gridmart_greatest(",
                (true, false, false) => "gridmart_least(",
                (true, true, true) => "gridmart_greatest_numeric(",
                (true, false, true) => "gridmart_least_numeric(",
            },
        );
        self.list(list, super::Emitter::expression);
        self.push(")");
    }

    fn aggregate(&mut self, aggregate: &Aggregate) {
        let Aggregate {
            function,
            arguments,
            distinct,
            order,
            filter,
        } = aggregate;
        if self.is_sqlite() {
            self.push(function.sqlite);
        } else {
            self.push(&format!("pg_catalog.\"{}\"", function.name));
        }
        self.push(if *distinct { "(DISTINCT " } else { "(" });
        if arguments.is_empty() {
            self.push("*");
        }
        let compares = *distinct || matches!(function.sqlite, "min" | "max");
        self.list(arguments, |emitter, argument| {
            emitter.expression(argument);
            if compares {
                emitter.collation(argument.sql_type);
            }
        });
        self.order(order);
        self.push(")");
        if let Some(filter) = filter {
            self.around(" FILTER (WHERE ", filter, ")");
        }
    }

    fn window(&mut self, window: &Window) {
        let Window {
            call,
            partition,
            order,
            frame,
        } = window;
        match call {
            WindowCall::Aggregate(aggregate) => self.aggregate(aggregate),
            WindowCall::Function {
                function,
                arguments,
            } => {
                debug_assert!(
                    matches!(function.shape, WindowShape::Rank(_)) == arguments.is_empty()
                );
                self.push(if self.is_sqlite() { "" } else { "pg_catalog." });
                self.push(function.name);
                self.push("(");
                self.list(arguments, super::Emitter::expression);
                self.push(")");
            }
        }
        self.push(" OVER (");
        if !partition.is_empty() {
            self.push("PARTITION BY ");
            self.list(partition, super::Emitter::comparable);
        }
        self.order(order);
        self.push(match frame {
            WindowFrame::Standard => "",
            WindowFrame::RowsToCurrent => " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
            WindowFrame::Whole => " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
        });
        self.push(")");
    }
}

pub(super) fn comparison(operator: Comparison) -> &'static str {
    match operator {
        Comparison::Equal => " = ",
        Comparison::NotEqual => " <> ",
        Comparison::Less => " < ",
        Comparison::LessOrEqual => " <= ",
        Comparison::Greater => " > ",
        Comparison::GreaterOrEqual => " >= ",
    }
}

/// Which of SQLite's functions reckon with a type.
fn family(sql_type: BaseType) -> &'static str {
    match sql_type {
        BaseType::Float4 | BaseType::Float8 => "float",
        BaseType::Numeric => "numeric",
        _ => "int",
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    hex::encode(bytes)
}
