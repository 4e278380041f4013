//! Reasons: made by the very code that decides, kept with the decision.

use serde::{Deserialize, Serialize};

/// Why something was chosen, refused, or has to wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Explanation {
    /// What was asked, in words.
    pub question: String,
    /// The outcome, in words.
    pub outcome: String,
    /// Each thing that was looked at.
    pub candidates: Vec<Candidate>,
}

/// A thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
    /// What it met and what it failed.
    pub checks: Vec<Check>,
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Taken.
    Chosen,
    /// Would do as well.
    Eligible,
    /// Fails at least one check.
    Unfit,
}

/// One need, rule or state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Check {
    /// What is checked: `rule`, `serving-state`, `capability`, `memory`, …
    pub name: String,
    /// Whether it is met.
    pub met: bool,
    /// What is needed.
    pub needed: String,
    /// What is there.
    pub found: String,
}
