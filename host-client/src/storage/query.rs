//! What a request's address says after `?`: our own words, which never need to
//! be escaped.

use std::{fmt::Display, str::FromStr};

use gridmart_fabric::door::Request;
use gridmart_schemas::problem::{Code, Problem};

/// The words of a request's address.
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(super) fn of(request: &'a Request) -> Self {
        Self(request.uri().query().unwrap_or_default())
    }

    /// The value of a word, if it is there; refused if it is not of its form.
    pub(super) fn read<T: FromStr<Err: Display>>(&self, word: &str) -> Result<Option<T>, Problem> {
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs
            .filter(|(name, _)| *name == word)
            .map(|(_, value)| value)
            .next();
        let read = |value: &str| {
            value.parse().map_err(|error| {
                let detail = format!("The word {word} of the address cannot be read: {error}.");
                Problem::new(Code::InvalidRequest, detail)
            })
        };
        value.map(read).transpose()
    }

    /// The same of a word that has to be there.
    pub(super) fn require<T: FromStr<Err: Display>>(&self, word: &str) -> Result<T, Problem> {
        self.read(word)?.ok_or_else(|| {
            let detail = format!("The address has to say {word}=….");
            Problem::new(Code::InvalidRequest, detail)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_or_refused() {
        let query = Query("after=7&limit=x&empty=&odd");
        assert_eq!(query.read::<u64>("after").unwrap(), Some(7));
        assert_eq!(query.read::<u64>("absent").unwrap(), None);
        assert_eq!(query.read::<u64>("odd").unwrap(), None);
        assert_eq!(query.require::<String>("empty").unwrap(), "");
        for word in ["limit", "empty", "absent"] {
            let refused = query.require::<u64>(word).unwrap_err();
            assert_eq!(refused.code, Code::InvalidRequest, "{word}");
        }
    }
}
