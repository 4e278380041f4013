//! Good documents, damaged at random: `xmllint` and the types have to agree
//! on what is left.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed test panics"
)]

mod judge;

use std::{fs, ops::Range};

use judge::{Kind, corpus, disagreements};
use proptest::{
    collection::vec, prelude::*, sample::Index, strategy::ValueTree, test_runner::TestRunner,
};
use quick_xml::{Reader, events::Event};

/// Mutants of each kind of document; the environment variable
/// `GRIDMART_MUTANTS` asks for more.
const MUTANTS: usize = 150;

/// Values, each good for some type and bad for others.
const VALUES: &[&str] = &[
    "",
    " ",
    "0",
    "1",
    "00001",
    "-1",
    "+1",
    "1.5",
    "1.2345",
    "1e3",
    " 7 ",
    "&#55;",
    "1<!-- -->2",
    "<![CDATA[3]]>",
    "4294967295",
    "4294967296",
    "99999999999",
    "18446744073709551615",
    "18446744073709551616",
    "true",
    "True",
    "1 ",
    "production",
    "closed",
    "Closed",
    "task",
    "ok",
    "x",
    "a b",
    "\u{a0}",
    "é",
    "urn:x:y",
    "urn:",
    "x y:z",
    "2026-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:00:00",
    "ALL",
    "user:a",
    "user:",
    "user: a",
    "&lt;",
    "&amp;#38;",
    "&unknown;",
    "&#0;",
    "<b/>",
    "]]>",
    "-0.000001",
    "-0",
    "0000000000",
    "\t9\n",
    "call",
    "call logs",
    "read write",
    "replica(3)",
    "replica(17)",
    "rs(4,2)",
    "rs(4, 2)",
    "rs(1,1)",
    "0-data",
    "a..b",
    "10.0.0.1",
    "1.2.3.4.5",
    "-ab",
    "rack=r1",
    "rack= r1",
    "online",
    "disk",
    "101",
    "1\u{85}",
];

/// Elements to be put in; `xmlns` is the document's.
const ELEMENTS: &[&str] = &[
    "<Unknown/>",
    "<Name>x</Name>",
    "<Policy/>",
    "<State/>",
    "<FailureLabel>rack=r1</FailureLabel>",
    "<x:y xmlns:x=\"urn:example:x\"/>",
    "<x:y xmlns:x=\"urn:example:x\"><Info/>text</x:y>",
    "<y xmlns=\"\"/>",
    "<!-- comment -->",
    "<?target data?>",
    "stray",
    "&#32;",
    "<![CDATA[ ]]>",
    "<![CDATA[]]>",
    "\u{a0}",
];

const ATTRIBUTES: &[&str] = &[
    " ID=\"urn:x:z\"",
    " Version=\"1\"",
    " Generation=\"5\"",
    " name=\"A\"",
    " Operations=\"call\"",
    " Part=\"\"",
    " epsilon=\"1\"",
    " Validity=\"5\"",
    " xml:space=\"preserve\"",
    " xmlns:unused=\"urn:example:unused\"",
    " unknown=\"\"",
    " xmlns=\"urn:example:other\"",
];

const NAMES: &[&str] = &[
    "Name",
    "Info",
    "State",
    "Policy",
    "Rule",
    "Argument",
    "MaxSlots",
    "info",
    "Executable",
    "Host",
];

#[derive(Clone, Debug)]
struct Damage {
    kind: u8,
    first: Index,
    second: Index,
    value: Index,
}

impl Damage {
    fn word(&self, words: &[&'static str]) -> &'static str {
        words[self.value.index(words.len())]
    }
}

/// The places of all elements, and of the texts of those without children.
struct Places {
    elements: Vec<Range<usize>>,
    texts: Vec<Range<usize>>,
    tags: Vec<Range<usize>>,
}

fn places(text: &str) -> Option<Places> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = false;
    let mut places = Places {
        elements: Vec::new(),
        texts: Vec::new(),
        tags: Vec::new(),
    };
    let mut open: Vec<(usize, usize, bool)> = Vec::new();
    loop {
        let before = usize::try_from(reader.buffer_position()).ok()?;
        let event = reader.read_event().ok()?;
        let after = usize::try_from(reader.buffer_position()).ok()?;
        match event {
            Event::Start(_) => {
                if let Some(parent) = open.last_mut() {
                    parent.2 = false;
                }
                places.tags.push(before..after);
                open.push((before, after, true));
            }
            Event::Empty(_) => {
                if let Some(parent) = open.last_mut() {
                    parent.2 = false;
                }
                places.tags.push(before..after);
                places.elements.push(before..after);
            }
            Event::End(_) => {
                let (start, content, is_leaf) = open.pop()?;
                places.elements.push(start..after);
                if is_leaf {
                    places.texts.push(content..before);
                }
            }
            Event::Eof => return Some(places),
            _ => {}
        }
    }
}

/// Does one damage; `None` if there is nothing to do it to.
fn damaged(text: &str, damage: &Damage) -> Option<String> {
    let places = places(text).filter(|places| !places.elements.is_empty())?;
    let element = damage.first.get(&places.elements).clone();
    let replaced = |range: Range<usize>, with: &str| {
        format!("{}{with}{}", &text[..range.start], &text[range.end..])
    };
    let mutant = match damage.kind % 10 {
        0 => replaced(element, ""),
        1 => {
            let copy = text[element.clone()].to_owned();
            replaced(element.end..element.end, &copy)
        }
        2 => {
            let other = damage.second.get(&places.elements).clone();
            let (left, right) = if element.end <= other.start {
                (element, other)
            } else if other.end <= element.start {
                (other, element)
            } else {
                return None;
            };
            format!(
                "{}{}{}{}{}",
                &text[..left.start],
                &text[right.clone()],
                &text[left.end..right.start],
                &text[left],
                &text[right.end..]
            )
        }
        3 | 4 if !places.texts.is_empty() => {
            replaced(damage.first.get(&places.texts).clone(), damage.word(VALUES))
        }
        5 => replaced(element.start..element.start, damage.word(ELEMENTS)),
        6 => {
            let tag = damage.first.get(&places.tags).clone();
            let at = tag.start + 1 + text[tag.start + 1..].find([' ', '>', '/', '\n'])?;
            replaced(at..at, damage.word(ATTRIBUTES))
        }
        7 => {
            let at = element.start + 1;
            let end = at + text[at..].find([' ', '>', '/', '\n'])?;
            let old = &text[at..end];
            let inner = text[element.clone()]
                .replacen(old, damage.word(NAMES), 1)
                .rsplit_once(&format!("</{old}"))
                .map(|(start, end)| format!("{start}</{}{end}", damage.word(NAMES)))?;
            replaced(element, &inner)
        }
        8 => {
            let tag = text[damage.first.get(&places.tags).clone()].to_owned();
            let start = damage.first.get(&places.tags).start;
            let quotes: Vec<usize> = tag.match_indices('"').map(|(at, _)| start + at).collect();
            let pair = damage.second.index(quotes.len().max(2) / 2) * 2;
            let (from, to) = (*quotes.get(pair)?, *quotes.get(pair + 1)?);
            replaced(from + 1..to, damage.word(VALUES))
        }
        _ => {
            // Not the XML declaration: there the types are stricter on purpose.
            let body = if text.starts_with("<?xml ") {
                text.find("?>")?
            } else {
                0
            };
            let mut at = body + damage.first.index(text.len() - body);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            let end = at + text[at..].chars().next()?.len_utf8();
            let with = [
                "", "<", ">", "&", "\"", "'", "/", "=", " ", "x", ":", "-", "\u{1}", "\u{fffe}",
                "é", "]",
            ];
            replaced(at..end, damage.word(&with))
        }
    };
    Some(mutant)
}

fn mutants(folder: &str, count: usize) -> Vec<String> {
    let documents: Vec<String> = corpus(folder)
        .iter()
        .map(|file| {
            fs::read_to_string(file)
                .unwrap()
                .trim_start_matches('\u{feff}')
                .to_owned()
        })
        .collect();
    let damage = (any::<u8>(), any::<Index>(), any::<Index>(), any::<Index>()).prop_map(
        |(kind, first, second, value)| Damage {
            kind,
            first,
            second,
            value,
        },
    );
    let strategy = (any::<Index>(), vec(damage, 1..4));
    let mut runner = TestRunner::default();
    let mut mutants = Vec::new();
    while mutants.len() < count {
        let (which, damages) = strategy.new_tree(&mut runner).unwrap().current();
        let mut mutant = which.get(&documents).clone();
        for damage in &damages {
            mutant = damaged(&mutant, damage).unwrap_or(mutant);
        }
        mutants.push(mutant);
    }
    mutants
}

#[test]
fn judges_agree_on_damaged_documents() {
    let count = std::env::var("GRIDMART_MUTANTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(MUTANTS);
    for folder in ["ae/good", "ce/good", "host/good", "se/good", "shost/good"] {
        let kind = Kind::of_folder(folder.split('/').next().unwrap());
        let mutants = mutants(folder, count);
        let accepted = mutants
            .iter()
            .filter(|mutant| kind.is_typed(mutant.as_bytes(), "").is_ok())
            .count();
        let wrong = disagreements(kind, &mutants);
        assert!(
            wrong.is_empty(),
            "{} disagreements\n{}",
            wrong.len(),
            wrong.join("\n=====\n")
        );
        assert!(
            accepted > count / 20 && accepted < count,
            "{accepted} of {count} were good"
        );
    }
}
