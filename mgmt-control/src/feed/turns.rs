//! From changes of condition to events that people can read: many Hosts of one
//! Element are one event, and what flickers is told once in half a minute.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use gridmart_schemas::{
    api::{
        event::{Severity, Topical},
        resource::Condition,
    },
    id::NodeId,
};

use super::rows::Turn;
use crate::catalogue::{
    Snapshot,
    event::{EventEntry, bounded, topical_node},
};

/// What an event of this kind is called.
const KIND: &str = "resource.condition";
/// After an event, a resource has none for so long.
const QUIET: Duration = Duration::from_secs(30);
/// So many Hosts of one Element that turn the same way are one event.
const TOGETHER_MIN: usize = 5;
/// Events of one look, at most.
const EVENTS_MAX: usize = 50;

/// What was told of resources that have turned lately.
#[derive(Default)]
pub(crate) struct TurnBook {
    lately: HashMap<NodeId, Lately>,
}

struct Lately {
    since: Instant,
    told: Condition,
    is: Turn,
    turns: u32,
}

impl TurnBook {
    /// Makes events of what has turned, and of what was kept back before.
    pub(crate) fn events(
        &mut self,
        turns: Vec<Turn>,
        catalogue: &Snapshot,
        now: Instant,
    ) -> Vec<EventEntry> {
        let mut fresh = Vec::new();
        for turn in turns {
            let Some(from) = turn.from.filter(|from| is_news(*from, turn.row.condition)) else {
                continue;
            };
            if let Some(lately) = self.lately.get_mut(&turn.id) {
                lately.turns += 1;
                lately.is = turn;
                continue;
            }
            let lately = Lately {
                since: now,
                told: turn.row.condition,
                is: turn.clone(),
                turns: 0,
            };
            self.lately.insert(turn.id, lately);
            fresh.push((from, turn));
        }
        let mut events = together(fresh, catalogue);
        events.extend(self.kept_back(now));
        if events.len() > EVENTS_MAX {
            let more = events.len() - EVENTS_MAX;
            events.truncate(EVENTS_MAX);
            events.push(and_more(more));
        }
        events
    }

    /// Whose quiet is over, and is otherwise than was told.
    fn kept_back(&mut self, now: Instant) -> Vec<EventEntry> {
        let mut events = Vec::new();
        self.lately.retain(|_, lately| {
            if now.saturating_duration_since(lately.since) < QUIET {
                return true;
            }
            if lately.turns == 0 || lately.told == lately.is.row.condition {
                return false;
            }
            let mut event = one(lately.told, &lately.is);
            if lately.turns > 1 {
                let times = lately.turns;
                event.text = bounded(&format!(
                    "{} (it changed {times} times meanwhile)",
                    event.text
                ));
            }
            events.push(event);
            lately.told = lately.is.row.condition;
            (lately.since, lately.turns) = (now, 0);
            true
        });
        events
    }
}

/// Whoever is heard for the first time and is well is no news: its joining was.
fn is_news(from: Condition, to: Condition) -> bool {
    from != Condition::Unknown || matches!(to, Condition::Critical | Condition::Warning)
}

fn together(fresh: Vec<(Condition, Turn)>, catalogue: &Snapshot) -> Vec<EventEntry> {
    let mut groups: BTreeMap<_, Vec<(Condition, Turn)>> = BTreeMap::new();
    for (from, turn) in fresh {
        let key = (turn.row.element, turn.row.condition);
        groups.entry(key).or_default().push((from, turn));
    }
    let mut events = Vec::new();
    for ((element, condition), members) in groups {
        match element {
            Some(element) if members.len() >= TOGETHER_MIN => {
                let subject = topical_node(catalogue, element);
                let text = format!(
                    "{} Hosts of {} {}",
                    members.len(),
                    subject.name,
                    are(condition)
                );
                events.push(entry(severity(condition), subject, &text));
            }
            _ => events.extend(members.iter().map(|(from, turn)| one(*from, turn))),
        }
    }
    events
}

fn one(from: Condition, turn: &Turn) -> EventEntry {
    let row = &turn.row;
    let subject = Topical {
        kind: row.kind.as_str().to_owned(),
        id: row.id.to_string(),
        name: row.name.clone(),
    };
    let back = row.condition == Condition::Ok
        && matches!(
            from,
            Condition::Away | Condition::Warning | Condition::Critical
        );
    let words = if back {
        "is well again"
    } else {
        is(row.condition)
    };
    let mut text = format!("{} {words}", row.name);
    let ails = matches!(row.condition, Condition::Warning | Condition::Critical);
    if let Some(info) = row.health_info.as_ref().filter(|_| ails) {
        text = format!("{text}: {info}");
    }
    let severity = match (row.condition, row.kind.is_element()) {
        (Condition::Away, true) => Severity::Critical,
        (condition, _) => severity(condition),
    };
    entry(severity, subject, &text)
}

fn entry(severity: Severity, subject: Topical, text: &str) -> EventEntry {
    EventEntry {
        kind: KIND,
        severity,
        subject,
        actor: None,
        text: bounded(text),
        open: true,
    }
}

fn and_more(more: usize) -> EventEntry {
    let subject = Topical {
        kind: "control".to_owned(),
        id: String::new(),
        name: "controller".to_owned(),
    };
    let text = format!("{more} more resources changed at the same time");
    entry(Severity::Warning, subject, &text)
}

const fn severity(condition: Condition) -> Severity {
    match condition {
        Condition::Critical => Severity::Critical,
        Condition::Away | Condition::Warning => Severity::Warning,
        Condition::Ok | Condition::Draining | Condition::Closed | Condition::Unknown => {
            Severity::Info
        }
    }
}

const fn is(condition: Condition) -> &'static str {
    match condition {
        Condition::Ok => "serves",
        Condition::Warning => "needs a look",
        Condition::Critical => "does not work",
        Condition::Draining => "takes nothing new",
        Condition::Closed => "is closed",
        Condition::Away => "is away",
        Condition::Unknown => "does not say how it is",
    }
}

const fn are(condition: Condition) -> &'static str {
    match condition {
        Condition::Ok => "serve",
        Condition::Warning => "need a look",
        Condition::Critical => "do not work",
        Condition::Draining => "take nothing new",
        Condition::Closed => "are closed",
        Condition::Away => "are away",
        Condition::Unknown => "do not say how they are",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::resource::row,
        catalogue::sample::{HostFacts, Sample},
    };

    fn turn(sample: &Sample, id: NodeId, from: Condition, to: Condition) -> Turn {
        let view = sample.raw_view();
        let mut row = row(&view, &view.catalogue.nodes[&id]);
        row.condition = to;
        let from = Some(from);
        Turn { id, from, row }
    }

    fn texts(events: &[EventEntry]) -> Vec<&str> {
        events.iter().map(|event| event.text.as_str()).collect()
    }

    #[test]
    fn what_flickers_is_told_once() {
        let mut sample = Sample::default();
        let element = sample.element("ce-1", "lab", 4);
        let host = sample.host(element, "host-1", HostFacts::default());
        let (ok, away) = (Condition::Ok, Condition::Away);
        let mut book = TurnBook::default();
        let start = Instant::now();
        let mut look = |turns, seconds| {
            let now = start + Duration::from_secs(seconds);
            book.events(turns, &sample.catalogue, now)
        };
        let gone = look(vec![turn(&sample, host, ok, away)], 0);
        assert_eq!(texts(&gone), ["host-1 is away"]);
        assert_eq!(gone[0].severity, Severity::Warning);
        for second in 1..20 {
            let (from, to) = if second % 2 == 1 {
                (away, ok)
            } else {
                (ok, away)
            };
            assert!(look(vec![turn(&sample, host, from, to)], second).is_empty());
        }
        assert_eq!(
            texts(&look(vec![], 30)),
            ["host-1 is well again (it changed 19 times meanwhile)"]
        );
        assert!(look(vec![], 60).is_empty());
        // Later it is news again, and an Element's matters more.
        let both = vec![
            turn(&sample, host, ok, Condition::Draining),
            turn(&sample, element, ok, away),
        ];
        let told = look(both, 100);
        assert_eq!(told.len(), 2);
        assert!(
            told.iter()
                .any(|event| event.severity == Severity::Critical)
        );
        assert!(book.lately.len() <= 2);
    }

    #[test]
    fn many_are_one_event_and_the_first_word_is_none() {
        let mut sample = Sample::default();
        let element = sample.element("ce-1", "lab", 4);
        let hosts: Vec<NodeId> = (0..200)
            .map(|n| sample.host(element, &format!("host-{n}"), HostFacts::default()))
            .collect();
        let mut book = TurnBook::default();
        let now = Instant::now();
        let turns = |from, to| {
            hosts
                .iter()
                .map(|id| turn(&sample, *id, from, to))
                .collect()
        };
        let first = book.events(
            turns(Condition::Unknown, Condition::Ok),
            &sample.catalogue,
            now,
        );
        assert!(first.is_empty());
        let away = book.events(
            turns(Condition::Ok, Condition::Away),
            &sample.catalogue,
            now,
        );
        assert_eq!(texts(&away), ["200 Hosts of ce-1 are away"]);
        // All of them come back while it is quiet: told afterwards, bounded.
        let back = turns(Condition::Away, Condition::Ok);
        assert!(book.events(back, &sample.catalogue, now).is_empty());
        let later = book.events(vec![], &sample.catalogue, now + QUIET);
        assert_eq!(later.len(), EVENTS_MAX + 1);
    }
}
