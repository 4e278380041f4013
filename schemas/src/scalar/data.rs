//! Scalars of data: names of databases.

use super::{collapse, text::string_scalar};

/// Longest name of a database, in bytes; PostgreSQL's clients cut longer ones.
const DATABASE_NAME_BYTES: std::ops::RangeInclusive<usize> = 1..=63;

fn is_database_name(text: &str) -> bool {
    DATABASE_NAME_BYTES.contains(&text.len())
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

string_scalar!(
    /// The name of a database, which needs no quotes in SQL.
    DatabaseName, "1 to 63 of a-z, 0-9, `_`; first a letter", collapse, is_database_name
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_databases_need_no_quotes() {
        for good in ["a", "shop_2", " shop\n", &"a".repeat(63)] {
            assert!(DatabaseName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "_a", "Shop", "a-b", "a.b", "é", &"a".repeat(64)] {
            assert!(DatabaseName::new(bad).is_err(), "{bad}");
        }
    }
}
