//! Functions of one row's values.

use super::{
    super::{
        super::{function::Function, tree::Expression, types::BaseType},
        Emitter,
    },
    expression::{integer, text},
    numeric::{SCALE_MAX, Shape},
};

/// Texts that are the same for all values: `{0}` is the first argument.
const PLAIN: &[(&str, &str)] = &[
    ("||", "({0} || {1})"),
    ("reverse", "REVERSE({0})"),
    ("length", "CHAR_LENGTH({0})"),
    ("char_length", "CHAR_LENGTH({0})"),
    ("character_length", "CHAR_LENGTH({0})"),
    ("octet_length", "OCTET_LENGTH({0})"),
    ("strpos", "LOCATE({1}, {0})"),
    (
        "left",
        "LEFT({0}, CASE WHEN {1} < 0 THEN GREATEST(CHAR_LENGTH({0}) + {1}, 0) ELSE {1} END)",
    ),
    (
        "right",
        "RIGHT({0}, CASE WHEN {1} < 0 THEN GREATEST(CHAR_LENGTH({0}) + {1}, 0) ELSE {1} END)",
    ),
    ("replace", "REPLACE({0}, {1}, {2})"),
    ("starts_with", "(LEFT({0}, CHAR_LENGTH({1})) = {1})"),
];

impl Emitter {
    pub(super) fn maria_call(
        &mut self,
        function: &Function,
        arguments: &[Expression],
        whole: &Expression,
    ) {
        let (first, second) = (arguments.first(), arguments.get(1));
        let given = first.map_or(BaseType::Unknown, |first| first.sql_type);
        match (named(function), given) {
            ("upper", _) => first
                .into_iter()
                .for_each(|text| self.folded("UPPER", text)),
            ("lower", _) => first
                .into_iter()
                .for_each(|text| self.folded("LOWER", text)),
            ("length" | "octet_length", BaseType::Bytea) => {
                self.template("OCTET_LENGTH({0})", arguments);
            }
            ("bool", _) => self.template(
                "CASE {0} WHEN TRUE THEN 't' WHEN FALSE THEN 'f' END",
                arguments,
            ),
            ("substr" | "substring", _) => self.maria_substring(arguments),
            ("lpad" | "rpad" | "repeat" | "split_part", _) => {
                self.maria_lengthened(function, arguments);
            }
            ("sqrt", _) => self.maria_root(arguments),
            ("make_date", _) => self.maria_date(arguments),
            ("btrim" | "ltrim" | "rtrim", _) => self.maria_trimmed(function, arguments),
            ("concat", _) => {
                self.push("CONCAT(");
                self.list(arguments, |emitter, one| {
                    emitter.around("COALESCE(", one, ", '')");
                });
                self.push(")");
            }
            ("concat_ws", _) => {
                self.push("CONCAT_WS(");
                self.list(arguments, Self::expression);
                self.push(")");
            }
            ("extract", moment) => self.maria_extract(
                first.and_then(text).unwrap_or_default(),
                second.map_or(moment, |second| second.sql_type),
                arguments,
            ),
            ("date_trunc", _) => {
                self.maria_truncated(first.and_then(text).unwrap_or_default(), arguments);
            }
            ("date_add", _) => self.template("({0} + INTERVAL {1} DAY)", arguments),
            ("date_sub", _) => self.template("({0} - INTERVAL {1} DAY)", arguments),
            ("date_between", _) => self.template("DATEDIFF({0}, {1})", arguments),
            ("abs" | "ceil" | "ceiling" | "floor" | "round" | "trunc" | "sign" | "mod", _) => {
                self.maria_number(function, arguments, whole);
            }
            (name, _) => match PLAIN.iter().find(|(known, _)| *known == name) {
                Some((_, template)) => self.template(template, arguments),
                None => self.refuse(&format!("the function {name}")),
            },
        }
    }

    fn maria_substring(&mut self, arguments: &[Expression]) {
        let part = "SUBSTR({0}, GREATEST({1}, 1), GREATEST({1} + {2} - GREATEST({1}, 1), 0))";
        match arguments.get(2) {
            None => self.template("SUBSTR({0}, GREATEST({1}, 1))", arguments),
            Some(length) if integer(length).is_some_and(|length| length >= 0) => {
                self.template(part, arguments);
            }
            Some(length) => {
                self.around("CASE WHEN ", length, " < 0 THEN ");
                self.raise_of("22011", &|emitter| emitter.expression(length));
                self.template(&format!(" ELSE {part} END"), arguments);
            }
        }
    }

    fn maria_root(&mut self, arguments: &[Expression]) {
        let Some(of) = arguments
            .first()
            .filter(|of| of.sql_type == BaseType::Float8)
        else {
            return self.refuse("sqrt of an exact number");
        };
        self.around("CASE WHEN ", of, " < 0 THEN ");
        self.raise_of("2201F", &|emitter| emitter.expression(of));
        self.around(" ELSE SQRT(", of, ") END");
    }

    fn maria_date(&mut self, arguments: &[Expression]) {
        self.template(
            "CAST(CASE WHEN {0} BETWEEN 1 AND 9999 AND {1} BETWEEN 1 AND 12 AND {2} BETWEEN 1 AND 31 \
             THEN CONCAT(LPAD({0}, 4, '0'), '-', LPAD({1}, 2, '0'), '-', LPAD({2}, 2, '0')) \
             WHEN {0} IS NULL OR {1} IS NULL OR {2} IS NULL THEN NULL ELSE ",
            arguments,
        );
        self.raise_of("22008", &|emitter| {
            emitter.list(arguments, Self::expression);
        });
        self.push(" END AS DATE)");
    }

    fn maria_lengthened(&mut self, function: &Function, arguments: &[Expression]) {
        let last = arguments.last();
        match (function.name, last.and_then(text), last.and_then(integer)) {
            ("repeat", ..) => self.template("REPEAT({0}, {1})", arguments),
            ("lpad" | "rpad", filler, _) if arguments.len() == 2 || filler.is_some() => {
                if filler == Some("") {
                    return self.refuse("lpad and rpad with an empty text");
                }
                let word = if function.name == "lpad" {
                    "LPAD"
                } else {
                    "RPAD"
                };
                let rest = if arguments.len() == 2 {
                    "({0}, GREATEST({1}, 0), ' ')"
                } else {
                    "({0}, GREATEST({1}, 0), {2})"
                };
                self.template(&format!("{word}{rest}"), arguments);
            }
            ("split_part", _, Some(part))
                if part > 0
                    && arguments
                        .get(1)
                        .and_then(text)
                        .is_some_and(|by| !by.is_empty()) =>
            {
                // Beyond the last part SUBSTRING_INDEX gives the last one again.
                self.template(
                    "CASE WHEN CHAR_LENGTH({0}) - CHAR_LENGTH(REPLACE({0}, {1}, '')) < \
                     ({2} - 1) * CHAR_LENGTH({1}) THEN '' ELSE \
                     SUBSTRING_INDEX(SUBSTRING_INDEX({0}, {1}, {2}), {1}, -1) END",
                    arguments,
                );
            }
            _ => self.refuse(&format!("{} with these arguments", function.name)),
        }
    }

    fn maria_trimmed(&mut self, function: &Function, arguments: &[Expression]) {
        let side = match function.name {
            "ltrim" => "LEADING",
            "rtrim" => "TRAILING",
            _ => "BOTH",
        };
        let letters = arguments.get(1).map(text);
        match letters {
            None => self.template(&format!("TRIM({side} ' ' FROM {{0}})"), arguments),
            // MariaDB takes off a text as a whole, PostgreSQL each of its letters.
            Some(Some(letters)) if letters.chars().count() == 1 => {
                self.template(&format!("TRIM({side} {{1}} FROM {{0}})"), arguments);
            }
            Some(_) => self.refuse("trim of more than one constant letter"),
        }
    }

    fn maria_extract(&mut self, field: &str, moment: BaseType, arguments: &[Expression]) {
        let dated = moment != BaseType::Time;
        let timed = moment != BaseType::Date;
        let template = match field {
            "year" | "month" | "quarter" if dated => {
                format!("{}({{1}})", field.to_uppercase())
            }
            "day" if dated => "DAYOFMONTH({1})".to_owned(),
            "dow" if dated => "(DAYOFWEEK({1}) - 1)".to_owned(),
            "isodow" if dated => "(WEEKDAY({1}) + 1)".to_owned(),
            "doy" if dated => "DAYOFYEAR({1})".to_owned(),
            "week" if dated => "WEEK({1}, 3)".to_owned(),
            "isoyear" if dated => "(YEARWEEK({1}, 3) DIV 100)".to_owned(),
            "decade" if dated => "(YEAR({1}) DIV 10)".to_owned(),
            "century" if dated => "((YEAR({1}) + 99) DIV 100)".to_owned(),
            "hour" | "minute" if timed => format!("{}({{1}})", field.to_uppercase()),
            "second" if timed => {
                "CAST(SECOND({1}) + MICROSECOND({1}) * 0.000001 AS DECIMAL(8,6))".to_owned()
            }
            "milliseconds" if timed => {
                "CAST(SECOND({1}) * 1000 + MICROSECOND({1}) * 0.001 AS DECIMAL(8,3))".to_owned()
            }
            "microseconds" if timed => "(SECOND({1}) * 1000000 + MICROSECOND({1}))".to_owned(),
            "epoch" if moment == BaseType::Date => {
                "(DATEDIFF({1}, DATE'1970-01-01') * 86400)".to_owned()
            }
            "epoch" if dated => "CAST(TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', \
                 {1}) * 0.000001 AS DECIMAL(19,6))"
                .to_owned(),
            _ => return self.refuse(&format!("EXTRACT({field} FROM …)")),
        };
        self.template(&template, arguments);
    }

    fn maria_truncated(&mut self, field: &str, arguments: &[Expression]) {
        let form = match field {
            "year" => "%Y-01-01",
            "month" => "%Y-%m-01",
            "quarter" => {
                return self.template(
                    "CAST(CONCAT(DATE_FORMAT({1}, '%Y-'), LPAD(QUARTER({1}) * 3 - 2, 2, '0'), '-01') AS DATETIME(6))",
                    arguments,
                );
            }
            "week" => {
                let monday = "CAST(CAST({1} AS DATE) - INTERVAL WEEKDAY({1}) DAY AS DATETIME(6))";
                return self.template(monday, arguments);
            }
            "day" => "%Y-%m-%d",
            "hour" => "%Y-%m-%d %H:00:00",
            "minute" => "%Y-%m-%d %H:%i:00",
            "second" => "%Y-%m-%d %H:%i:%s",
            _ => return self.refuse(&format!("date_trunc('{field}', …)")),
        };
        let template = format!("CAST(DATE_FORMAT({{1}}, '{form}') AS DATETIME(6))");
        self.template(&template, arguments);
    }

    fn maria_number(&mut self, function: &Function, arguments: &[Expression], whole: &Expression) {
        let sql_type = whole.sql_type;
        let numeric = sql_type == BaseType::Numeric;
        let beyond = |argument: &Expression| !Self::fits(self.numeric(argument));
        if sql_type == BaseType::Float4 {
            return self.refuse("arithmetic with real");
        }
        if numeric
            && (arguments
                .iter()
                .any(|one| one.sql_type == BaseType::Numeric && beyond(one))
                || !Self::fits(self.numeric(whole)))
        {
            return self.refuse(&format!(
                "{} of a numeric without precision and scale",
                function.name
            ));
        }
        let scale = match self.numeric(whole) {
            Shape::Fixed(precision, scale) => format!("DECIMAL({},{scale})", precision.min(65)),
            _ => "DECIMAL(65,0)".to_owned(),
        };
        let places = arguments.get(1).and_then(integer);
        let template = match (function.name, numeric, places) {
            ("abs", _, _) => "ABS({0})".to_owned(),
            ("ceil" | "ceiling", false, _) => "CEILING({0})".to_owned(),
            ("ceil" | "ceiling", true, _) => format!("CAST(CEILING({{0}}) AS {scale})"),
            ("floor", false, _) => "FLOOR({0})".to_owned(),
            ("floor", true, _) => format!("CAST(FLOOR({{0}}) AS {scale})"),
            ("round", false, _) => "ROUND({0})".to_owned(),
            ("round", true, _) if arguments.len() == 1 => {
                format!("CAST(ROUND({{0}}, 0) AS {scale})")
            }
            ("round", true, Some(_)) => format!("CAST(ROUND({{0}}, {{1}}) AS {scale})"),
            ("trunc", false, _) => "TRUNCATE({0}, 0)".to_owned(),
            ("trunc", true, _) if arguments.len() == 1 => {
                format!("CAST(TRUNCATE({{0}}, 0) AS {scale})")
            }
            ("trunc", true, Some(_)) => format!("CAST(TRUNCATE({{0}}, {{1}}) AS {scale})"),
            ("sign", true, _) => "CAST(SIGN({0}) AS DECIMAL(1,0))".to_owned(),
            ("sign", false, _) => "CAST(SIGN({0}) AS DOUBLE)".to_owned(),
            ("mod", ..) => "({0} % {1})".to_owned(),
            (name, ..) => return self.refuse(&format!("{name} with these arguments")),
        };
        if sql_type.is_integer() {
            return self.in_bits(sql_type, |emitter| emitter.template(&template, arguments));
        }
        self.template(&template, arguments);
    }

    /// Of a call that gives a numeric.
    pub(super) fn shape_of_call(&self, function: &Function, arguments: &[Expression]) -> Shape {
        let of = |place: usize| {
            arguments
                .get(place)
                .map_or(Shape::Loose, |one| self.numeric(one))
        };
        let places = arguments.get(1).and_then(integer).unwrap_or(0);
        let places = u32::try_from(places.clamp(0, i64::from(SCALE_MAX) + 1)).unwrap_or(0);
        match (named(function), of(0)) {
            (_, Shape::Any) => Shape::Any,
            ("abs", shape) => shape,
            ("sign", Shape::Fixed(..)) => Shape::Fixed(1, 0),
            ("ceil" | "ceiling" | "floor", Shape::Fixed(precision, scale)) => {
                Shape::Fixed(precision - scale.min(precision) + 1, 0)
            }
            ("round" | "trunc", Shape::Fixed(precision, scale)) => {
                Shape::Fixed(precision - scale.min(precision) + 1 + places, places)
            }
            ("mod", Shape::Fixed(precision, scale)) => match of(1) {
                Shape::Fixed(other, other_scale) => {
                    let whole =
                        (precision - scale.min(precision)).max(other - other_scale.min(other));
                    let scale = scale.max(other_scale);
                    Shape::Fixed(whole + scale, scale)
                }
                shape => shape,
            },
            ("extract", _) => match arguments.first().and_then(text) {
                Some("second") => Shape::Fixed(8, 6),
                Some("milliseconds") => Shape::Fixed(8, 3),
                Some("epoch")
                    if arguments
                        .get(1)
                        .is_some_and(|moment| moment.sql_type != BaseType::Date) =>
                {
                    Shape::Fixed(19, 6)
                }
                _ => Shape::Fixed(19, 0),
            },
            _ => Shape::Loose,
        }
    }
}

/// The name of a function; operators have none of their own.
fn named(function: &Function) -> &'static str {
    if !function.name.is_empty() {
        return function.name;
    }
    match function.sqlite {
        concat if concat.starts_with("({0} ||") => "||",
        letter if letter.starts_with("CASE") => "bool",
        add if add.starts_with("gridmart_date_add") => "date_add",
        sub if sub.starts_with("gridmart_date_sub") => "date_sub",
        days if days.starts_with("gridmart_date_between") => "date_between",
        extract if extract.starts_with("gridmart_extract") => "extract",
        _ => "of this kind",
    }
}
