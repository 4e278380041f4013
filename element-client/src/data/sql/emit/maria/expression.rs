//! Expressions.

use super::{
    super::{
        super::{
            tree::{Arithmetic, Context, Expression, Kind, Literal, Test},
            types::BaseType,
        },
        Argument, Emitter,
        expression::{comparison, hexadecimal},
    },
    COLLATION,
    numeric::{ANY, PRECISION_MAX, SCALE_MAX, Shape, of_digits},
};
use gridmart_fabric::sqlite::functions::pattern_well_formed;

impl Emitter {
    pub(in crate::data::sql::emit) fn maria_kind(&mut self, expression: &Expression) {
        let sql_type = expression.sql_type;
        match &expression.kind {
            Kind::Literal(literal) => self.maria_literal(literal, sql_type),
            Kind::Parameter(index) => self.maria_value(Argument::Parameter(*index), sql_type),
            Kind::Context(context) => {
                let moment = matches!(context, Context::Now);
                let sql_type = if moment {
                    BaseType::TimestampTz
                } else {
                    BaseType::Text
                };
                self.maria_value(Argument::Context(context.clone()), sql_type);
            }
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
            } => self.maria_compare(left, comparison(*operator), right),
            Kind::Distinct {
                left,
                right,
                negated,
            } => {
                self.push(if *negated { "" } else { "(NOT " });
                self.maria_compare(left, " <=> ", right);
                self.push(if *negated { "" } else { ")" });
            }
            Kind::Arithmetic {
                operator,
                left,
                right,
            } => self.maria_arithmetic(*operator, left, right, expression),
            Kind::Negate(operand) => match sql_type {
                BaseType::Float4 => self.refuse("arithmetic with real"),
                BaseType::Int2 | BaseType::Int4 => {
                    self.in_bits(sql_type, |emitter| emitter.around("(- ", operand, ")"));
                }
                BaseType::Numeric if self.numeric(operand) == Shape::Loose => {
                    self.refuse("arithmetic with a numeric without precision and scale");
                }
                _ => self.around("(- ", operand, ")"),
            },
            Kind::Cast { operand, to, mode } => self.maria_cast(operand, *to, *mode),
            Kind::Call {
                function,
                arguments,
            } => self.maria_call(function, arguments, expression),
            _ => self.maria_composed(expression),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one match over all kinds")]
    fn maria_composed(&mut self, expression: &Expression) {
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
                self.comparable(low);
                self.push(" AND ");
                self.comparable(high);
                self.push(")");
            }
            Kind::InList {
                operand,
                list,
                negated,
            } => {
                self.push("(");
                self.comparable(operand);
                self.push(if *negated { " NOT IN (" } else { " IN (" });
                self.list(list, Self::comparable);
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
                let shapes = self.shapes_of(query);
                let loose = shapes.first().copied().flatten() == Some(Shape::Loose);
                // MariaDB takes no LIMIT here.
                let wrapped = loose || query.limit.is_some() || query.offset.is_some();
                if wrapped {
                    self.push("SELECT ");
                    self.push(&if loose {
                        format!("CAST(q.c0 AS {ANY})")
                    } else {
                        "q.c0".to_owned()
                    });
                    self.push(" FROM (");
                }
                self.query(query, false);
                self.push(if wrapped { ") AS q))" } else { "))" });
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
                self.push("(");
                self.query(query, false);
                self.push(")");
            }
            Kind::Like {
                operand,
                pattern,
                escape,
                insensitive,
                negated,
            } => {
                self.maria_like(operand, pattern, escape.as_deref(), *insensitive, *negated);
            }
            Kind::Case {
                operand,
                branches,
                otherwise,
            } => {
                let common = self.shape_of(expression);
                self.push("CASE ");
                if let Some(operand) = operand {
                    self.comparable(operand);
                }
                for (when, then) in branches {
                    self.push(" WHEN ");
                    if operand.is_some() {
                        self.comparable(when);
                    } else {
                        self.expression(when);
                    }
                    self.push(" THEN ");
                    self.beside(then, common);
                }
                if let Some(otherwise) = otherwise {
                    self.push(" ELSE ");
                    self.beside(otherwise, common);
                }
                self.push(" END");
            }
            Kind::Coalesce(values) => {
                let common = self.shape_of(expression);
                self.push("COALESCE(");
                self.list(values, |emitter, value| emitter.beside(value, common));
                self.push(")");
            }
            Kind::NullIf { left, right } => {
                self.push("CASE WHEN ");
                self.maria_compare(left, " = ", right);
                self.around(" THEN NULL ELSE ", left, " END");
            }
            Kind::Extreme { greatest, list } => self.maria_extreme(*greatest, list, expression),
            Kind::Aggregate(aggregate) => self.maria_aggregate(aggregate, &|_| {}),
            Kind::Window(window) => self.maria_window(window),
            _ => {}
        }
    }

    /// A value as it is compared and sorted by.
    pub(in crate::data::sql::emit) fn maria_comparable(&mut self, value: &Expression) {
        if self.shape_of(value) == Some(Shape::Loose) {
            return self.around("CAST(", value, &format!(" AS {ANY})"));
        }
        self.expression(value);
    }

    fn maria_compare(&mut self, left: &Expression, sign: &str, right: &Expression) {
        self.push("(");
        self.comparable(left);
        self.push(sign);
        self.comparable(right);
        self.push(")");
    }

    /// A value that goes beside the text. Bytes are put into the text by who runs it, so
    /// that they are no text.
    fn maria_value(&mut self, argument: Argument, sql_type: BaseType) {
        let (before, after) = match sql_type {
            BaseType::Numeric => ("CAST(", " AS CHAR)"),
            BaseType::Date => ("CAST(", " AS DATE)"),
            BaseType::Time => ("CAST(", " AS TIME(6))"),
            BaseType::Timestamp => ("CAST(", " AS DATETIME(6))"),
            // It comes in its stored form, with the sign of UTC.
            BaseType::TimestampTz => ("CAST(TRIM(TRAILING 'Z' FROM ", ") AS DATETIME(6))"),
            BaseType::Float4 | BaseType::Float8 => ("CAST(", " AS DOUBLE)"),
            _ => ("", ""),
        };
        self.push(before);
        self.argument(argument);
        self.push(after);
    }

    pub(super) fn maria_literal(&mut self, literal: &Literal, sql_type: BaseType) {
        match literal {
            Literal::Null => self.push("NULL"),
            Literal::Bool(truth) => self.push(if *truth { "TRUE" } else { "FALSE" }),
            Literal::Integer(number) if *number < 0 => self.push(&format!("({number})")),
            Literal::Integer(number) => self.push(&number.to_string()),
            Literal::Float(number)
                if !number.is_finite() || *number == 0.0 && number.is_sign_negative() =>
            {
                self.refuse("an infinity, NaN or −0 of a float");
            }
            Literal::Float(number) if number.is_sign_negative() => {
                self.push(&format!("({number:e})"));
            }
            Literal::Float(number) => self.push(&format!("{number:e}")),
            Literal::Numeric(text) => {
                if !Self::fits(of_digits(text)) {
                    let what = format!(
                        "a numeric of more than {PRECISION_MAX} digits, or {SCALE_MAX} after the point,"
                    );
                    self.refuse(&what);
                }
                let negative = text.starts_with('-');
                self.push(if negative { "(" } else { "" });
                self.push(text);
                self.push(if negative { ")" } else { "" });
            }
            Literal::Text(text) => {
                let word = match sql_type {
                    BaseType::Date => "DATE",
                    BaseType::Time => "TIME",
                    BaseType::Timestamp | BaseType::TimestampTz => "TIMESTAMP",
                    _ => "",
                };
                self.push(word);
                // Moments of all zones are kept in UTC.
                let moment = text.strip_suffix('Z').filter(|_| !word.is_empty());
                self.quoted(moment.unwrap_or(text));
            }
            Literal::Bytes(bytes) => self.push(&format!("x'{}'", hexadecimal(bytes))),
        }
    }

    /// A whole number that has to fit: multiplied up to 64 bits and back, so that
    /// what does not fit fails there.
    pub(super) fn in_bits(&mut self, sql_type: BaseType, write: impl FnOnce(&mut Self)) {
        let room = match sql_type {
            BaseType::Int2 => 1_u64 << 48,
            BaseType::Int4 => 1_u64 << 32,
            _ => return write(self),
        };
        self.push("((");
        write(self);
        self.push(&format!(" * {room}) DIV {room})"));
    }

    fn maria_arithmetic(
        &mut self,
        operator: Arithmetic,
        left: &Expression,
        right: &Expression,
        whole: &Expression,
    ) {
        let sign = match operator {
            Arithmetic::Add => " + ",
            Arithmetic::Subtract => " - ",
            Arithmetic::Multiply => " * ",
            Arithmetic::Divide if whole.sql_type.is_integer() => " DIV ",
            Arithmetic::Divide => " / ",
            Arithmetic::Modulo => " % ",
        };
        let plain = |emitter: &mut Self| {
            emitter.around("(", left, sign);
            emitter.around("", right, ")");
        };
        match whole.sql_type {
            BaseType::Float4 => self.refuse("arithmetic with real"),
            BaseType::Numeric if operator == Arithmetic::Divide => {
                self.maria_quotient(left, right);
            }
            BaseType::Numeric if !Self::fits(self.numeric(whole)) => {
                self.refuse(&format!(
                    "arithmetic with a numeric without precision and scale, or beyond {PRECISION_MAX} digits,"
                ));
            }
            integer if integer.is_integer() => self.in_bits(integer, plain),
            _ => plain(self),
        }
    }

    /// Fails with this code where it is computed.
    pub(in crate::data::sql::emit) fn raise(&mut self, code: &str) {
        // A constant could be computed where nothing asks for it.
        self.raise_of(code, &|emitter| emitter.push("RAND()"));
    }

    /// The same beside a value that is not NULL there: without it MariaDB could compute it
    /// for each row of a group, whatever CASE it stands in.
    pub(super) fn raise_of(&mut self, code: &str, value: &dyn Fn(&mut Self)) {
        self.push(&format!("CAST(CONCAT('gridmart:{code}:', "));
        value(self);
        self.push(") AS SIGNED)");
    }

    fn maria_like(
        &mut self,
        operand: &Expression,
        pattern: &Expression,
        escape: Option<&Expression>,
        insensitive: bool,
        negated: bool,
    ) {
        let constant = |expression: &Expression| match &expression.kind {
            Kind::Literal(Literal::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let sign = match escape {
            None => Some("\\".to_owned()),
            Some(escape) => constant(escape).filter(|sign| sign.chars().count() == 1),
        };
        let Some(sign) = sign else {
            return self.refuse("LIKE with this ESCAPE");
        };
        let pattern_text = constant(pattern);
        let well = pattern_text
            .as_ref()
            .map(|pattern| pattern_well_formed(pattern, &sign));
        match well {
            Some(false) => return self.refuse("LIKE with a pattern that ends in its escape"),
            Some(true) => self.push(if negated { "(NOT " } else { "(" }),
            None if sign == "\\" => {
                // PostgreSQL refuses a pattern that ends in a lone escape where it gets
                // so far; here it is refused at once.
                self.push(if negated { "(NOT CASE" } else { "(CASE" });
                self.push(" WHEN REPLACE(");
                self.expression(pattern);
                self.push(", '\\\\', '') NOT LIKE '%!\\' ESCAPE '!' OR ");
                self.around("", pattern, " IS NULL THEN ");
            }
            None => return self.refuse("LIKE with a pattern and an ESCAPE of its own"),
        }
        let folded = |emitter: &mut Self, text: &Expression| {
            if insensitive {
                emitter.folded("LOWER", text);
            } else {
                emitter.expression(text);
            }
        };
        folded(self, operand);
        self.push(" LIKE ");
        folded(self, pattern);
        self.push(" ESCAPE ");
        self.quoted(&sign);
        if well.is_none() {
            self.push(" ELSE ");
            self.raise_of("22025", &|emitter| emitter.expression(pattern));
            self.push(" END");
        }
        self.push(")");
    }

    /// Letters made large or small as PostgreSQL does.
    pub(super) fn folded(&mut self, function: &str, text: &Expression) {
        self.push(&format!("({function}("));
        self.expression(text);
        self.push(&format!(
            " COLLATE utf8mb4_uca1400_nopad_as_cs) COLLATE {COLLATION})"
        ));
    }

    fn maria_extreme(&mut self, greatest: bool, list: &[Expression], whole: &Expression) {
        if whole.sql_type == BaseType::Numeric && self.numeric(whole) == Shape::Loose {
            return self.refuse("GREATEST and LEAST of numerics with different scales");
        }
        if let [only] = list {
            return self.expression(only);
        }
        // PostgreSQL passes over NULL, MariaDB does not.
        self.push(if greatest { "GREATEST(" } else { "LEAST(" });
        self.list(0..list.len(), |emitter, first| {
            emitter.push("COALESCE(");
            let others = list.iter().cycle().skip(first).take(list.len());
            emitter.list(others, Self::expression);
            emitter.push(")");
        });
        self.push(")");
    }
}

/// A constant whole number.
pub(super) fn integer(expression: &Expression) -> Option<i64> {
    match &expression.kind {
        Kind::Literal(Literal::Integer(number)) => Some(*number),
        _ => None,
    }
}

/// A constant text.
pub(super) fn text(expression: &Expression) -> Option<&str> {
    match &expression.kind {
        Kind::Literal(Literal::Text(text)) => Some(text),
        _ => None,
    }
}
