//! Casts.

use gridmart_schemas::data::SqlType;

use super::{
    super::{
        super::{
            tree::{CastMode, Expression},
            types::BaseType,
        },
        Emitter,
    },
    numeric::{self, Shape},
};

impl Emitter {
    pub(super) fn maria_cast(&mut self, operand: &Expression, to: SqlType, mode: CastMode) {
        match (BaseType::from(to), to.bounds()) {
            (BaseType::Numeric, Some((precision, scale))) => {
                if !Self::fits(Shape::Fixed(precision, scale)) {
                    return self.refuse("a numeric of more than 65 digits, or 38 after the point,");
                }
                if operand.sql_type.is_float() {
                    return self.refuse("a cast of a float to numeric");
                }
                self.push("CAST(");
                self.maria_converted(operand, BaseType::Numeric);
                self.push(&format!(" AS DECIMAL({precision},{scale}))"));
            }
            // Where a value is put into a column, the column's own bounds are asked.
            (base, Some((length, _))) if mode == CastMode::Cast => {
                self.push("LEFT(");
                self.maria_converted(operand, base);
                self.push(&format!(", {length})"));
            }
            // A column of any scale keeps text.
            (BaseType::Numeric, None) if mode == CastMode::Assignment => {
                self.push("CAST(");
                self.maria_converted(operand, BaseType::Numeric);
                self.push(" AS CHAR)");
            }
            (base, _) => self.maria_converted(operand, base),
        }
    }

    fn maria_converted(&mut self, operand: &Expression, to: BaseType) {
        use BaseType::{
            Bool, Date, Float4, Float8, Int4, Numeric, Time, Timestamp, TimestampTz, Uuid,
        };
        let from = operand.sql_type;
        if from == to || (from.is_text() && to.is_text()) {
            return self.expression(operand);
        }
        match (from, to) {
            _ if from.is_text() => self.maria_read(to),
            _ if to.is_text() => self.maria_shown(operand),
            _ if from.is_integer() && to.is_integer() => {
                if from.bits() <= to.bits() {
                    return self.expression(operand);
                }
                self.in_bits(to, |emitter| emitter.expression(operand));
            }
            (_, Numeric) if from.is_integer() => {
                let (precision, scale) = numeric::of_integer(from);
                self.around(
                    "CAST(",
                    operand,
                    &format!(" AS DECIMAL({precision},{scale}))"),
                );
            }
            (_, Float4) if from.is_integer() => self.around("CAST(", operand, " AS FLOAT)"),
            (_, Float8) if from.is_integer() => self.around("CAST(", operand, " AS DOUBLE)"),
            (Numeric, _) if to.is_integer() => {
                // What does not fit 64 bits warns, and so fails.
                self.in_bits(to, |emitter| {
                    emitter.push("CAST(");
                    emitter.comparable(operand);
                    emitter.push(" AS SIGNED)");
                });
            }
            (Numeric | Float4, Float8) => self.around("CAST(", operand, " AS DOUBLE)"),
            (Float8, Float4) => self.around("CAST(", operand, " AS FLOAT)"),
            (Float4 | Float8, _) if to.is_integer() => {
                self.in_bits(to, |emitter| {
                    emitter.around("CAST(", operand, " AS SIGNED)");
                });
            }
            (Int4, Bool) => self.around("(", operand, " <> 0)"),
            (Date, Timestamp | TimestampTz) => self.around("CAST(", operand, " AS DATETIME(6))"),
            (Bool, Int4) | (Timestamp, TimestampTz) | (TimestampTz, Timestamp) => {
                self.expression(operand);
            }
            (Timestamp | TimestampTz, Date) => self.around("CAST(", operand, " AS DATE)"),
            (Timestamp | TimestampTz, Time) => self.around("CAST(", operand, " AS TIME(6))"),
            (Uuid, _) | (_, Uuid) => self.expression(operand),
            (from, to) => {
                self.refuse(&format!("a cast of {from} to {to}"));
            }
        }
    }

    /// A value read from text: a parameter's text is read by who binds it, what is in
    /// a column would have to be checked.
    fn maria_read(&mut self, to: BaseType) {
        self.refuse(&format!("a cast of text that is no constant to {to}"));
    }

    /// A value as PostgreSQL shows it.
    fn maria_shown(&mut self, operand: &Expression) {
        match operand.sql_type {
            BaseType::Bool => {
                self.around(
                    "CASE ",
                    operand,
                    " WHEN TRUE THEN 'true' WHEN FALSE THEN 'false' END",
                );
            }
            BaseType::Uuid | BaseType::Json | BaseType::Jsonb => self.expression(operand),
            BaseType::Numeric => self.loose(operand),
            BaseType::Time | BaseType::Timestamp => self.maria_moment_shown(operand),
            BaseType::TimestampTz => {
                self.push("CONCAT(");
                self.maria_moment_shown(operand);
                self.push(", '+00')");
            }
            float if float.is_float() => self.refuse("a cast of a float to text"),
            BaseType::Bytea => self.refuse("a cast of bytea to text"),
            _ => self.around("CAST(", operand, " AS CHAR)"),
        }
    }

    /// Without zeros at the end of its fraction.
    fn maria_moment_shown(&mut self, operand: &Expression) {
        let form = if operand.sql_type == BaseType::Time {
            "TIME(6)"
        } else {
            "DATETIME(6)"
        };
        self.push("TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM CAST(CAST(");
        self.expression(operand);
        self.push(&format!(" AS {form}) AS CHAR)))"));
    }
}
