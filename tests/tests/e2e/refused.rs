//! Demanding that the door that refused has logged it, with the code.

use gridmart_tests::{SHORT, Supermarket, wait_for};

/// A place in a role's log, from which on a line is looked for.
pub(crate) struct Mark<'a> {
    market: &'a Supermarket,
    role: &'static str,
    at: usize,
}

impl<'a> Mark<'a> {
    /// The present end of a role's log.
    pub(crate) fn new(market: &'a Supermarket, role: &'static str) -> Self {
        Self {
            market,
            role,
            at: market.log(role).len(),
        }
    }

    /// Demands a line with this code, and all of these words.
    #[track_caller]
    pub(crate) fn demand(&self, code: &str, words: &[&str]) {
        let code = format!("code={code}");
        let what = format!("{} has logged {code} with {words:?}", self.role);
        wait_for(SHORT, &what, || {
            let log = self.market.log(self.role);
            let news = &log[self.at..];
            let is_it = |line: &str| {
                let has = |word: &str| line.split([' ', ',']).any(|found| found == word);
                has(&code) && words.iter().all(|word| line.contains(word))
            };
            if news.lines().any(is_it) {
                Ok(())
            } else {
                Err(news.to_owned())
            }
        });
    }
}

/// Gives the request that a problem on stderr (`--json`) names.
#[track_caller]
pub(crate) fn request_of(stderr: &str) -> String {
    let problem: serde_json::Value = serde_json::from_str(stderr).unwrap();
    let request = problem["request_id"].as_str();
    request
        .unwrap_or_else(|| panic!("no request is named: {problem}"))
        .to_owned()
}
