//! Pages of listings.

use gridmart_schemas::{
    api::Page,
    problem::{Code, Problem},
};
use serde::Deserialize;
use utoipa::IntoParams;

/// Rows of a page if nobody says otherwise, and at most.
const ROWS_MAX: u32 = 1000;

/// Where a listing is read on, and how far.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// Rows at most; 1000 is the limit.
    limit: Option<u32>,
}

impl PageQuery {
    /// For listings with more in their query.
    pub(super) fn new(after: Option<String>, limit: Option<u32>) -> Self {
        Self { after, limit }
    }

    /// Rows at most.
    pub(super) fn limit(&self) -> u32 {
        self.limit.unwrap_or(ROWS_MAX).clamp(1, ROWS_MAX)
    }

    /// Cuts the page out of a whole listing, whose rows `key` names.
    pub(super) fn cut<T>(
        &self,
        rows: Vec<T>,
        key: impl Fn(&T) -> String,
    ) -> Result<Page<T>, Problem> {
        let start = match &self.after {
            None => 0,
            Some(after) => match rows.iter().position(|row| key(row) == *after) {
                Some(index) => index + 1,
                None => return Err(stale()),
            },
        };
        let mut rest = rows.into_iter().skip(start);
        let items: Vec<T> = rest.by_ref().take(self.limit() as usize).collect();
        let more = rest.next().is_some();
        let next = items.last().filter(|_| more).map(key);
        Ok(Page { items, next })
    }

    /// `after` of a listing by falling number.
    pub(super) fn before(&self) -> Result<Option<u64>, Problem> {
        self.after
            .as_ref()
            .map(|text| text.parse().map_err(|_| stale()))
            .transpose()
    }
}

fn stale() -> Problem {
    Problem::new(
        Code::InvalidRequest,
        "`after` names no row of this listing (any more): begin again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let rows = || (0..7).collect::<Vec<u32>>();
        let query = |after: Option<&str>| PageQuery {
            after: after.map(str::to_owned),
            limit: Some(3),
        };
        let first = query(None).cut(rows(), ToString::to_string).unwrap();
        assert_eq!(
            (first.items, first.next.as_deref()),
            (vec![0, 1, 2], Some("2"))
        );
        let last = query(Some("5")).cut(rows(), ToString::to_string).unwrap();
        assert_eq!((last.items, last.next), (vec![6], None));
        let exact = query(Some("3")).cut(rows(), ToString::to_string).unwrap();
        assert_eq!(exact.next, None);
        assert!(query(Some("99")).cut(rows(), ToString::to_string).is_err());
    }
}
