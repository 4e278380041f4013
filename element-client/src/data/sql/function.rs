//! The functions that may be called: what is not listed here does not exist.
//!
//! Texts for engines are templates: `{0}` is the first argument, `{*}` all of
//! them. Where PostgreSQL has none, its function of the same name is meant.

use super::types::BaseType::{
    self, Bool, Bytea, Date, Float4, Float8, Int2, Int4, Int8, Numeric, Text, Time, Timestamp,
    TimestampTz,
};

/// Whether a call can tell of a row what its answer does not show: it can fail
/// for some values, or take long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data::sql) enum Tells {
    No,
    Yes,
}

use Tells::{No, Yes};

/// A function of one row's values.
#[derive(Debug, PartialEq)]
pub(in crate::data::sql) struct Function {
    pub(in crate::data::sql) name: &'static str,
    pub(in crate::data::sql) arguments: &'static [BaseType],
    /// Whether any number of further texts may follow.
    pub(in crate::data::sql) variadic: bool,
    pub(in crate::data::sql) result: BaseType,
    pub(in crate::data::sql) sqlite: &'static str,
    pub(in crate::data::sql) postgres: &'static str,
    pub(in crate::data::sql) tells: Tells,
}

const fn function(
    name: &'static str,
    arguments: &'static [BaseType],
    result: BaseType,
    sqlite: &'static str,
    tells: Tells,
) -> Function {
    Function {
        name,
        arguments,
        variadic: false,
        result,
        sqlite,
        postgres: "",
        tells,
    }
}

const fn operator(
    arguments: &'static [BaseType],
    result: BaseType,
    sqlite: &'static str,
    postgres: &'static str,
    tells: Tells,
) -> Function {
    Function {
        name: "",
        arguments,
        variadic: false,
        result,
        sqlite,
        postgres,
        tells,
    }
}

/// `||` of two texts.
pub(in crate::data::sql) static CONCAT: Function =
    operator(&[Text, Text], Text, "({0} || {1})", "({0} || {1})", No);
/// A boolean as `concat` shows it.
pub(in crate::data::sql) static BOOL_LETTER: Function = operator(
    &[Bool],
    Text,
    "CASE {0} WHEN 1 THEN 't' WHEN 0 THEN 'f' END",
    "CASE {0} WHEN true THEN 't' WHEN false THEN 'f' END",
    No,
);
/// A date and days.
pub(in crate::data::sql) static DATE_ADD: Function = operator(
    &[Date, Int4],
    Date,
    "gridmart_date_add({0}, {1})",
    "({0} + {1})",
    Yes,
);
pub(in crate::data::sql) static DATE_SUBTRACT: Function = operator(
    &[Date, Int4],
    Date,
    "gridmart_date_sub({0}, {1})",
    "({0} - {1})",
    Yes,
);
pub(in crate::data::sql) static DATE_BETWEEN: Function = operator(
    &[Date, Date],
    Int4,
    "gridmart_date_between({0}, {1})",
    "({0} - {1})",
    No,
);
/// `EXTRACT(field FROM moment)`; which fields a type has is known when bound.
pub(in crate::data::sql) static EXTRACTS: [Function; 4] = [
    extract(&[Text, Date], "gridmart_extract({0}, {1}, 'date')"),
    extract(&[Text, Time], "gridmart_extract({0}, {1}, 'time')"),
    extract(
        &[Text, Timestamp],
        "gridmart_extract({0}, {1}, 'timestamp')",
    ),
    extract(
        &[Text, TimestampTz],
        "gridmart_extract({0}, {1}, 'timestamp')",
    ),
];

const fn extract(arguments: &'static [BaseType], sqlite: &'static str) -> Function {
    operator(
        arguments,
        Numeric,
        sqlite,
        "pg_catalog.\"extract\"({0}, {1})",
        Yes,
    )
}

/// Functions that may be called by name.
pub(in crate::data::sql) static FUNCTIONS: &[Function] = &[
    function("upper", &[Text], Text, "gridmart_upper({0})", No),
    function("lower", &[Text], Text, "gridmart_lower({0})", No),
    function("initcap", &[Text], Text, "gridmart_initcap({0})", No),
    function("reverse", &[Text], Text, "gridmart_reverse({0})", No),
    function("length", &[Text], Int4, "length({0})", No),
    function("char_length", &[Text], Int4, "length({0})", No),
    function("character_length", &[Text], Int4, "length({0})", No),
    function(
        "octet_length",
        &[Text],
        Int4,
        "length(CAST({0} AS BLOB))",
        No,
    ),
    function("length", &[Bytea], Int4, "length({0})", No),
    function("octet_length", &[Bytea], Int4, "length({0})", No),
    function(
        "substr",
        &[Text, Int4],
        Text,
        "gridmart_substr({0}, {1})",
        No,
    ),
    function(
        "substr",
        &[Text, Int4, Int4],
        Text,
        "gridmart_substr({0}, {1}, {2})",
        Yes,
    ),
    function(
        "substring",
        &[Text, Int4],
        Text,
        "gridmart_substr({0}, {1})",
        No,
    ),
    function(
        "substring",
        &[Text, Int4, Int4],
        Text,
        "gridmart_substr({0}, {1}, {2})",
        Yes,
    ),
    function("strpos", &[Text, Text], Int4, "instr({0}, {1})", No),
    function("left", &[Text, Int4], Text, "gridmart_left({0}, {1})", No),
    function("right", &[Text, Int4], Text, "gridmart_right({0}, {1})", No),
    function(
        "lpad",
        &[Text, Int4],
        Text,
        "gridmart_lpad({0}, {1}, ' ')",
        Yes,
    ),
    function(
        "lpad",
        &[Text, Int4, Text],
        Text,
        "gridmart_lpad({0}, {1}, {2})",
        Yes,
    ),
    function(
        "rpad",
        &[Text, Int4],
        Text,
        "gridmart_rpad({0}, {1}, ' ')",
        Yes,
    ),
    function(
        "rpad",
        &[Text, Int4, Text],
        Text,
        "gridmart_rpad({0}, {1}, {2})",
        Yes,
    ),
    function(
        "repeat",
        &[Text, Int4],
        Text,
        "gridmart_repeat({0}, {1})",
        Yes,
    ),
    function(
        "replace",
        &[Text, Text, Text],
        Text,
        "gridmart_replace({0}, {1}, {2})",
        Yes,
    ),
    function("btrim", &[Text], Text, "trim({0})", No),
    function("ltrim", &[Text], Text, "ltrim({0})", No),
    function("rtrim", &[Text], Text, "rtrim({0})", No),
    function("btrim", &[Text, Text], Text, "trim({0}, {1})", Yes),
    function("ltrim", &[Text, Text], Text, "ltrim({0}, {1})", Yes),
    function("rtrim", &[Text, Text], Text, "rtrim({0}, {1})", Yes),
    function(
        "split_part",
        &[Text, Text, Int4],
        Text,
        "gridmart_split_part({0}, {1}, {2})",
        Yes,
    ),
    function(
        "starts_with",
        &[Text, Text],
        Bool,
        "gridmart_starts_with({0}, {1})",
        No,
    ),
    function("ascii", &[Text], Int4, "gridmart_ascii({0})", No),
    function("chr", &[Int4], Text, "gridmart_chr({0})", Yes),
    Function {
        name: "concat",
        arguments: &[Text],
        variadic: true,
        result: Text,
        sqlite: "gridmart_concat({*})",
        postgres: "",
        tells: No,
    },
    Function {
        name: "concat_ws",
        arguments: &[Text, Text],
        variadic: true,
        result: Text,
        sqlite: "gridmart_concat_ws({*})",
        postgres: "",
        tells: No,
    },
    function("abs", &[Int2], Int2, "gridmart_int_abs({0}, 16)", Yes),
    function("abs", &[Int4], Int4, "gridmart_int_abs({0}, 32)", Yes),
    function("abs", &[Int8], Int8, "gridmart_int_abs({0}, 64)", Yes),
    function("abs", &[Numeric], Numeric, "gridmart_numeric_abs({0})", No),
    function("abs", &[Float4], Float4, "gridmart_float_abs({0})", No),
    function("abs", &[Float8], Float8, "gridmart_float_abs({0})", No),
    function(
        "ceil",
        &[Numeric],
        Numeric,
        "gridmart_numeric_ceil({0})",
        No,
    ),
    function("ceil", &[Float8], Float8, "gridmart_float_ceil({0})", No),
    function(
        "ceiling",
        &[Numeric],
        Numeric,
        "gridmart_numeric_ceil({0})",
        No,
    ),
    function("ceiling", &[Float8], Float8, "gridmart_float_ceil({0})", No),
    function(
        "floor",
        &[Numeric],
        Numeric,
        "gridmart_numeric_floor({0})",
        No,
    ),
    function("floor", &[Float8], Float8, "gridmart_float_floor({0})", No),
    function(
        "round",
        &[Numeric],
        Numeric,
        "gridmart_numeric_round({0}, 0)",
        No,
    ),
    function(
        "round",
        &[Numeric, Int4],
        Numeric,
        "gridmart_numeric_round({0}, {1})",
        No,
    ),
    function("round", &[Float8], Float8, "gridmart_float_round({0})", No),
    function(
        "trunc",
        &[Numeric],
        Numeric,
        "gridmart_numeric_trunc({0}, 0)",
        No,
    ),
    function(
        "trunc",
        &[Numeric, Int4],
        Numeric,
        "gridmart_numeric_trunc({0}, {1})",
        No,
    ),
    function("trunc", &[Float8], Float8, "gridmart_float_trunc({0})", No),
    function(
        "sign",
        &[Numeric],
        Numeric,
        "gridmart_numeric_sign({0})",
        No,
    ),
    function("sign", &[Float8], Float8, "gridmart_float_sign({0})", No),
    function("sqrt", &[Float8], Float8, "gridmart_float_sqrt({0})", Yes),
    // Listed so that a numeric is not taken for a float; it has no text.
    function("sqrt", &[Numeric], Numeric, "", Yes),
    function(
        "mod",
        &[Int2, Int2],
        Int2,
        "gridmart_int_mod({0}, {1}, 16)",
        Yes,
    ),
    function(
        "mod",
        &[Int4, Int4],
        Int4,
        "gridmart_int_mod({0}, {1}, 32)",
        Yes,
    ),
    function(
        "mod",
        &[Int8, Int8],
        Int8,
        "gridmart_int_mod({0}, {1}, 64)",
        Yes,
    ),
    function(
        "mod",
        &[Numeric, Numeric],
        Numeric,
        "gridmart_numeric_mod({0}, {1})",
        Yes,
    ),
    function(
        "date_trunc",
        &[Text, Timestamp],
        Timestamp,
        "gridmart_date_trunc({0}, {1})",
        Yes,
    ),
    function(
        "date_trunc",
        &[Text, TimestampTz],
        TimestampTz,
        "gridmart_date_trunc({0}, {1})",
        Yes,
    ),
    function(
        "make_date",
        &[Int4, Int4, Int4],
        Date,
        "gridmart_make_date({0}, {1}, {2})",
        Yes,
    ),
];

/// A function over the rows of a group.
#[derive(Debug, PartialEq)]
pub(in crate::data::sql) struct AggregateFunction {
    pub(in crate::data::sql) name: &'static str,
    /// `Unknown`: a value of any type.
    pub(in crate::data::sql) arguments: &'static [BaseType],
    pub(in crate::data::sql) result: BaseType,
    pub(in crate::data::sql) sqlite: &'static str,
    pub(in crate::data::sql) tells: Tells,
}

const fn aggregate(
    name: &'static str,
    arguments: &'static [BaseType],
    result: BaseType,
    sqlite: &'static str,
) -> AggregateFunction {
    AggregateFunction {
        name,
        arguments,
        result,
        sqlite,
        tells: No,
    }
}

/// `count(*)`.
pub(in crate::data::sql) static COUNT_ROWS: AggregateFunction =
    aggregate("count", &[], Int8, "count");

/// Aggregates that may be called by name. On SQLite a template names the function
/// only; numerics are given their collation where they are compared.
pub(in crate::data::sql) static AGGREGATES: &[AggregateFunction] = &[
    aggregate("count", &[BaseType::Unknown], Int8, "count"),
    aggregate("sum", &[Int2], Int8, "sum"),
    aggregate("sum", &[Int4], Int8, "sum"),
    aggregate("sum", &[Int8], Numeric, "gridmart_sum_numeric"),
    aggregate("sum", &[Numeric], Numeric, "gridmart_sum_numeric"),
    aggregate("sum", &[Float4], Float4, "gridmart_sum_float4"),
    aggregate("sum", &[Float8], Float8, "gridmart_sum_float"),
    aggregate("avg", &[Int2], Numeric, "gridmart_avg_numeric"),
    aggregate("avg", &[Int4], Numeric, "gridmart_avg_numeric"),
    aggregate("avg", &[Int8], Numeric, "gridmart_avg_numeric"),
    aggregate("avg", &[Numeric], Numeric, "gridmart_avg_numeric"),
    aggregate("avg", &[Float4], Float8, "gridmart_avg_float"),
    aggregate("avg", &[Float8], Float8, "gridmart_avg_float"),
    aggregate("min", &[Int2], Int2, "min"),
    aggregate("min", &[Int4], Int4, "min"),
    aggregate("min", &[Int8], Int8, "min"),
    aggregate("min", &[Numeric], Numeric, "min"),
    aggregate("min", &[Float4], Float4, "min"),
    aggregate("min", &[Float8], Float8, "min"),
    aggregate("min", &[Text], Text, "min"),
    aggregate("min", &[Date], Date, "min"),
    aggregate("min", &[Time], Time, "min"),
    aggregate("min", &[Timestamp], Timestamp, "min"),
    aggregate("min", &[TimestampTz], TimestampTz, "min"),
    aggregate("max", &[Int2], Int2, "max"),
    aggregate("max", &[Int4], Int4, "max"),
    aggregate("max", &[Int8], Int8, "max"),
    aggregate("max", &[Numeric], Numeric, "max"),
    aggregate("max", &[Float4], Float4, "max"),
    aggregate("max", &[Float8], Float8, "max"),
    aggregate("max", &[Text], Text, "max"),
    aggregate("max", &[Date], Date, "max"),
    aggregate("max", &[Time], Time, "max"),
    aggregate("max", &[Timestamp], Timestamp, "max"),
    aggregate("max", &[TimestampTz], TimestampTz, "max"),
    aggregate("bool_and", &[Bool], Bool, "min"),
    aggregate("every", &[Bool], Bool, "min"),
    aggregate("bool_or", &[Bool], Bool, "max"),
    aggregate("string_agg", &[Text, Text], Text, "group_concat"),
];

/// A function of a row's place among others.
#[derive(Debug, PartialEq)]
pub(in crate::data::sql) struct WindowFunction {
    pub(in crate::data::sql) name: &'static str,
    pub(in crate::data::sql) shape: WindowShape,
}

/// What a window function takes and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data::sql) enum WindowShape {
    /// Nothing; a value of this type.
    Rank(BaseType),
    /// A value, how many rows away, and what stands for one that is not there.
    Neighbour,
    /// A value of the frame; of that value's type.
    Edge,
}

/// Window functions that may be called by name.
pub(in crate::data::sql) static WINDOW_FUNCTIONS: &[WindowFunction] = &[
    WindowFunction {
        name: "row_number",
        shape: WindowShape::Rank(Int8),
    },
    WindowFunction {
        name: "rank",
        shape: WindowShape::Rank(Int8),
    },
    WindowFunction {
        name: "dense_rank",
        shape: WindowShape::Rank(Int8),
    },
    WindowFunction {
        name: "percent_rank",
        shape: WindowShape::Rank(Float8),
    },
    WindowFunction {
        name: "cume_dist",
        shape: WindowShape::Rank(Float8),
    },
    WindowFunction {
        name: "lag",
        shape: WindowShape::Neighbour,
    },
    WindowFunction {
        name: "lead",
        shape: WindowShape::Neighbour,
    },
    WindowFunction {
        name: "first_value",
        shape: WindowShape::Edge,
    },
    WindowFunction {
        name: "last_value",
        shape: WindowShape::Edge,
    },
];

/// The best fitting of functions with one name: the fewest arguments changed in
/// type; among equals the one that takes floats or texts, as PostgreSQL prefers.
pub(in crate::data::sql) fn best_fit<'f, F>(
    candidates: impl Iterator<Item = (&'f F, &'static [BaseType], bool)>,
    given: &[BaseType],
) -> Option<&'f F> {
    let mut best: Option<(usize, usize, &F)> = None;
    for (candidate, wanted, variadic) in candidates {
        let fits = if variadic {
            given.len() >= wanted.len()
        } else {
            given.len() == wanted.len()
        };
        if !fits {
            continue;
        }
        let last = wanted.last().copied().unwrap_or(Text);
        let wanted_at = |index: usize| wanted.get(index).copied().unwrap_or(last);
        let pairs = || {
            given
                .iter()
                .enumerate()
                .map(|(index, given)| (*given, wanted_at(index)))
        };
        let reachable = |(from, to): (BaseType, BaseType)| {
            variadic || to == BaseType::Unknown || from.widens_to(to)
        };
        if !pairs().all(reachable) {
            continue;
        }
        let same = |from: BaseType, to: BaseType| from == to || (from.is_text() && to.is_text());
        let changed = pairs()
            .filter(|(from, to)| *from != BaseType::Unknown && !same(*from, *to))
            .count();
        let preferred = pairs()
            .filter(|(from, to)| !same(*from, *to) && matches!(to, Float8 | Text | TimestampTz))
            .count();
        let better = best
            .as_ref()
            .is_none_or(|(best_changed, best_preferred, _)| {
                (changed, usize::MAX - preferred) < (*best_changed, usize::MAX - *best_preferred)
            });
        if better {
            best = Some((changed, preferred, candidate));
        }
    }
    best.map(|(_, _, candidate)| candidate)
}
