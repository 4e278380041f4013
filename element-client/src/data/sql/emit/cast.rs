//! Casts.

use gridmart_schemas::data::SqlType;

use super::{
    super::{
        tree::{CastMode, Expression},
        types::BaseType,
    },
    Emitter,
};

impl Emitter {
    pub(super) fn cast(&mut self, operand: &Expression, to: SqlType, mode: CastMode) {
        if !self.is_sqlite() {
            self.push("CAST(");
            self.expression(operand);
            self.push(&format!(" AS {}", BaseType::from(to).name()));
            // Where a value is put into a column, the column's own bounds are asked.
            if let (Some((first, second)), CastMode::Cast) = (to.bounds(), mode) {
                match to.into() {
                    BaseType::Numeric => self.push(&format!("({first}, {second})")),
                    _ => self.push(&format!("({first})")),
                }
            }
            return self.push(")");
        }
        let Some((first, second)) = to.bounds() else {
            return self.sqlite_cast(operand, to.into());
        };
        match (BaseType::from(to), mode) {
            (BaseType::Numeric, _) => self.push("gridmart_numeric_fit("),
            (_, CastMode::Cast) => self.push("gridmart_varchar("),
            (_, CastMode::Assignment) => self.push("gridmart_varchar_fit("),
        }
        self.sqlite_cast(operand, to.into());
        match to.into() {
            BaseType::Numeric => self.push(&format!(", {first}, {second})")),
            _ => self.push(&format!(", {first})")),
        }
    }

    fn sqlite_cast(&mut self, operand: &Expression, to: BaseType) {
        let template = sqlite_template(operand.sql_type, to);
        self.template(&template, std::slice::from_ref(operand));
    }
}

/// How SQLite makes one type of another; what is not listed is kept alike.
fn sqlite_template(from: BaseType, to: BaseType) -> String {
    use BaseType::{
        Bool, Bytea, Date, Float4, Float8, Int4, Json, Numeric, Time, Timestamp, TimestampTz, Uuid,
    };
    let bits = to.bits();
    if from == to || (from.is_text() && to.is_text()) {
        return "{0}".to_owned();
    }
    match (from, to) {
        _ if from.is_text() => from_text(to),
        _ if to.is_text() => to_text(from),
        _ if from.is_integer() && to.is_integer() => {
            if from.bits() <= bits {
                "{0}".to_owned()
            } else {
                format!("gridmart_int_fit({{0}}, {bits})")
            }
        }
        (_, Numeric) if from.is_integer() => "CAST({0} AS TEXT)".to_owned(),
        (_, Float4) if from.is_integer() => "gridmart_float_narrow(CAST({0} AS REAL))".to_owned(),
        (_, Float8) if from.is_integer() => "CAST({0} AS REAL)".to_owned(),
        (Numeric, _) if to.is_integer() => format!("gridmart_numeric_int({{0}}, {bits})"),
        (Numeric, Float4 | Float8) => format!("gridmart_numeric_float({{0}}, {bits})"),
        (Float4 | Float8, Numeric) => format!("gridmart_float_numeric({{0}}, {})", from.bits()),
        (Float8, Float4) => "gridmart_float_narrow({0})".to_owned(),
        (Float4 | Float8, _) if to.is_integer() => format!("gridmart_float_int({{0}}, {bits})"),
        (Int4, Bool) => "({0} <> 0)".to_owned(),
        (Date, Timestamp) => "({0} || ' 00:00:00.000000')".to_owned(),
        (Date, TimestampTz) => "({0} || ' 00:00:00.000000Z')".to_owned(),
        (Timestamp, TimestampTz) => "({0} || 'Z')".to_owned(),
        (TimestampTz, Timestamp) => "substr({0}, 1, 26)".to_owned(),
        (Timestamp | TimestampTz, Date) => "substr({0}, 1, 10)".to_owned(),
        (Timestamp | TimestampTz, Time) => "substr({0}, 12, 15)".to_owned(),
        (Float4, Float8) | (Bool, Int4) | (Bytea | Uuid | Json | _, _) => "{0}".to_owned(),
    }
}

fn to_text(from: BaseType) -> String {
    match from {
        BaseType::Bool => "gridmart_bool_text({0})".to_owned(),
        BaseType::Int2 | BaseType::Int4 | BaseType::Int8 => "CAST({0} AS TEXT)".to_owned(),
        BaseType::Float4 | BaseType::Float8 => {
            format!("gridmart_float_text({{0}}, {})", from.bits())
        }
        BaseType::Time | BaseType::Timestamp | BaseType::TimestampTz => {
            "gridmart_moment_text({0})".to_owned()
        }
        BaseType::Bytea => "gridmart_bytes_text({0})".to_owned(),
        _ => "{0}".to_owned(),
    }
}

fn from_text(to: BaseType) -> String {
    let bits = to.bits();
    match to {
        BaseType::Bool => "gridmart_text_bool({0})".to_owned(),
        BaseType::Int2 | BaseType::Int4 | BaseType::Int8 => {
            format!("gridmart_text_int({{0}}, {bits})")
        }
        BaseType::Float4 | BaseType::Float8 => format!("gridmart_text_float({{0}}, {bits})"),
        BaseType::Numeric => "gridmart_text_numeric({0})".to_owned(),
        BaseType::Date => "gridmart_text_date({0})".to_owned(),
        BaseType::Time => "gridmart_text_time({0})".to_owned(),
        BaseType::Timestamp => "gridmart_text_timestamp({0})".to_owned(),
        BaseType::TimestampTz => "gridmart_text_timestamptz({0})".to_owned(),
        BaseType::Uuid => "gridmart_text_uuid({0})".to_owned(),
        _ => "{0}".to_owned(),
    }
}
