//! Errors in one line.

use std::{error::Error, fmt::Write as _};

/// An error and all its causes: `cannot open x: permission denied`.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the outer")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn causes_follow_what_they_caused() {
        let inner = std::fmt::Error;
        assert_eq!(with_causes(&Outer(inner)), format!("the outer: {inner}"));
    }
}
