//! Divisions of exact numbers.
//!
//! PostgreSQL gives a quotient at least 16 digits that count: how many stand after its
//! point follows from the first digits, in base 10000, of the numbers of each row. MariaDB
//! divides with 38 digits after the point, of which as many are kept, as text. A quotient
//! that needs more than is compared of such text fails.

use super::{
    super::{
        super::{
            tree::{Aggregate, Expression},
            types::BaseType,
        },
        Emitter,
    },
    numeric::{Shape, of_integer},
};

/// Digits after the point that a quotient may have.
const SCALE_MAX: u32 = 27;
/// Digits after the point of what MariaDB divides.
const DIVIDED_SCALE: u32 = 38;
/// How many of them its session adds to those of the dividend.
const SCALE_ADDED: u32 = 30;
/// Digits before the point that are left beside them.
const WHOLE_MAX: u32 = 27;

/// One side of a division.
struct Side<'a> {
    write: &'a dyn Fn(&mut Emitter),
    scale: u32,
}

impl Emitter {
    /// `left / right`.
    pub(super) fn maria_quotient(&mut self, left: &Expression, right: &Expression) {
        let (Shape::Fixed(one, scale), Shape::Fixed(two, other)) =
            (self.numeric(left), self.numeric(right))
        else {
            return self.refuse("a division of numerics without precision and scale");
        };
        // The smallest divisor makes the largest quotient.
        if one.saturating_sub(scale) + other > WHOLE_MAX
            || is_wide(one, scale)
            || is_wide(two, other)
        {
            return self.refuse("a division of numerics of so many digits");
        }
        let dividend = Side {
            write: &|emitter| emitter.expression(left),
            scale,
        };
        let divisor = Side {
            write: &|emitter| emitter.expression(right),
            scale: other,
        };
        self.divided(&dividend, &divisor);
    }

    /// `avg(x)`: the sum by the count.
    pub(super) fn maria_average(&mut self, aggregate: &Aggregate) {
        let Some(value) = aggregate.arguments.first() else {
            return;
        };
        let shape = match value.sql_type {
            integer if integer.is_integer() => {
                let (precision, scale) = of_integer(integer);
                Shape::Fixed(precision, scale)
            }
            BaseType::Numeric => self.numeric(value),
            _ => return self.refuse("avg of real"),
        };
        let Shape::Fixed(precision, scale) = shape else {
            return self.refuse("avg of a numeric without precision and scale");
        };
        // An average has no more digits before its point than what it is of.
        if precision - scale.min(precision) > WHOLE_MAX
            || precision > 43
            || is_wide(precision, scale)
        {
            return self.refuse("avg of numerics of so many digits");
        }
        let sum = Side {
            write: &|emitter| emitter.of_group("SUM(", aggregate, value),
            scale,
        };
        let count = Side {
            write: &|emitter| emitter.of_group("COUNT(", aggregate, value),
            scale: 0,
        };
        self.divided(&sum, &count);
    }

    fn of_group(&mut self, function: &str, aggregate: &Aggregate, value: &Expression) {
        self.push(function);
        self.push(if aggregate.distinct { "DISTINCT " } else { "" });
        match &aggregate.filter {
            None => self.expression(value),
            Some(filter) => {
                self.around("CASE WHEN ", filter, " THEN ");
                self.around("", value, " END");
            }
        }
        self.push(")");
    }

    fn divided(&mut self, left: &Side<'_>, right: &Side<'_>) {
        self.push("CASE WHEN ");
        self.scale_of(left, right);
        self.push(&format!(" > {SCALE_MAX} THEN "));
        self.raise_of("0A000", left.write);
        self.push(" ELSE LEFT(");
        self.rounded(left, right);
        self.push(", CHAR_LENGTH(");
        self.rounded(left, right);
        self.push(&format!(") - {DIVIDED_SCALE} + "));
        self.scale_of(left, right);
        // Without digits behind it the point goes as well.
        self.push(" - (");
        self.scale_of(left, right);
        self.push(" = 0)) END");
    }

    /// The quotient as text, with 38 digits after its point, of which those count that the
    /// quotient has.
    fn rounded(&mut self, left: &Side<'_>, right: &Side<'_>) {
        let scale = left.scale.max(DIVIDED_SCALE - SCALE_ADDED);
        self.push("CAST(CAST(ROUND(CAST(");
        (left.write)(self);
        self.push(&format!(" AS DECIMAL(65,{scale})) / "));
        (right.write)(self);
        self.push(", ");
        self.scale_of(left, right);
        self.push(&format!(") AS DECIMAL(65,{DIVIDED_SCALE})) AS CHAR)"));
    }

    /// How many digits the quotient has after its point.
    fn scale_of(&mut self, left: &Side<'_>, right: &Side<'_>) {
        self.push("GREATEST(16 - 4 * (CASE WHEN ");
        (left.write)(self);
        self.push(" = 0 THEN 0 ELSE ");
        self.weight(left);
        self.push(" END - ");
        self.weight(right);
        self.push(" - (");
        self.first_digit(left);
        self.push(" <= ");
        self.first_digit(right);
        self.push(&format!(")), {})", left.scale.max(right.scale)));
    }

    /// Where its first digit in base 10000 stands; units have 0.
    fn weight(&mut self, side: &Side<'_>) {
        self.push("((CHAR_LENGTH(");
        self.digits(side);
        self.push(&format!(") - 1) DIV 4 - {})", side.scale.div_ceil(4)));
    }

    fn first_digit(&mut self, side: &Side<'_>) {
        self.push("CAST(CONCAT('0', LEFT(");
        self.digits(side);
        self.push(", (CHAR_LENGTH(");
        self.digits(side);
        self.push(") - 1) % 4 + 1)) AS SIGNED)");
    }

    /// The digits that count, those after the point filled up to whole ones in base 10000.
    fn digits(&mut self, side: &Side<'_>) {
        self.push("TRIM(LEADING '0' FROM REPLACE(CAST(CAST(ABS(");
        (side.write)(self);
        self.push(&format!(
            ") AS DECIMAL(65,{})) AS CHAR), '.', ''))",
            side.scale.div_ceil(4) * 4
        ));
    }
}

/// Whether there is no room for it once its scale is filled up.
fn is_wide(precision: u32, scale: u32) -> bool {
    let filled = scale.div_ceil(4) * 4;
    filled > 36 || precision.saturating_sub(scale) + filled.max(8) > 65
}
