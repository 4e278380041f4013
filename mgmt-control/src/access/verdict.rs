//! Checks while they are made: one way in, so that what decides is what is
//! explained. The quick sink only counts, the others keep the words.

use gridmart_schemas::api::explain::Check;

/// What kind of thing a check looks at; a refusal's code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// What the resource is.
    Need,
    /// How it is at present; may pass.
    State,
    /// Whether it is there; passes when it returns.
    Presence,
    /// Whom it is for.
    Rule,
}

/// How many checks failed, by concern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// Needs unmet.
    pub needs: u32,
    /// States that will not do.
    pub states: u32,
    /// Rules that do not allow it.
    pub rules: u32,
    /// Things that are away.
    pub away: u32,
}

impl Failed {
    /// All of them.
    pub const fn total(self) -> u32 {
        self.needs + self.states + self.rules + self.away
    }

    /// Whether nothing failed.
    pub const fn is_none(self) -> bool {
        self.total() == 0
    }

    /// Whether nothing but passing states failed.
    pub const fn is_passing(self) -> bool {
        self.needs == 0 && self.rules == 0
    }

    /// Whether it would do if it were there.
    pub const fn is_away(self) -> bool {
        self.away > 0 && self.is_passing() && self.states == 0
    }

    /// Orders candidates: fewest failures first; among equals, states (which
    /// pass) before rules (which can be asked for) before needs.
    pub const fn distance(self) -> (u32, u32, u32) {
        (self.total(), self.needs, self.rules)
    }

    /// Counts one check.
    pub fn count(&mut self, concern: Concern, met: bool) {
        let failed = u32::from(!met);
        match concern {
            Concern::Need => self.needs += failed,
            Concern::State => self.states += failed,
            Concern::Presence => self.away += failed,
            Concern::Rule => self.rules += failed,
        }
    }
}

impl std::ops::Add for Failed {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            needs: self.needs + other.needs,
            states: self.states + other.states,
            rules: self.rules + other.rules,
            away: self.away + other.away,
        }
    }
}

/// Takes checks as they are made.
pub trait Sink {
    /// Takes one check; `words` gives what is needed and what is there.
    fn check(
        &mut self,
        name: &str,
        concern: Concern,
        met: bool,
        words: impl FnOnce() -> (String, String),
    );

    /// Takes what is told with the checks and counts for nothing.
    fn note(&mut self, name: &str, met: bool, words: impl FnOnce() -> (String, String));
}

/// Only counts.
impl Sink for Failed {
    fn check(
        &mut self,
        _: &str,
        concern: Concern,
        met: bool,
        _: impl FnOnce() -> (String, String),
    ) {
        self.count(concern, met);
    }

    fn note(&mut self, _: &str, _: bool, _: impl FnOnce() -> (String, String)) {}
}

/// Counts and keeps the words.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// What failed.
    pub failed: Failed,
    /// The checks in order.
    pub made: Vec<Check>,
}

impl Sink for Checks {
    fn check(
        &mut self,
        name: &str,
        concern: Concern,
        met: bool,
        words: impl FnOnce() -> (String, String),
    ) {
        self.failed.count(concern, met);
        self.note(name, met, words);
    }

    fn note(&mut self, name: &str, met: bool, words: impl FnOnce() -> (String, String)) {
        self.made.push(check(name, met, words()));
    }
}

/// Keeps the words of what is not met, and of nothing else.
#[derive(Clone, Debug, Default)]
pub struct Faults(pub Vec<Check>);

impl Sink for Faults {
    fn check(
        &mut self,
        name: &str,
        _: Concern,
        met: bool,
        words: impl FnOnce() -> (String, String),
    ) {
        self.note(name, met, words);
    }

    fn note(&mut self, name: &str, met: bool, words: impl FnOnce() -> (String, String)) {
        if !met {
            self.0.push(check(name, met, words()));
        }
    }
}

fn check(name: &str, met: bool, (needed, found): (String, String)) -> Check {
    Check {
        name: name.to_owned(),
        met,
        needed,
        found,
    }
}
