//! Random valid documents, made of random bytes: fewer bytes make a simpler
//! document, so that proptest can shrink a failure.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test file uses a part of this"
)]

mod application;
mod common;
mod compute;
mod data;
mod storage;

use gridmart_schemas::{
    id::Digest,
    resource::{
        Extension, Extensions,
        common::{AccessControlBase, AccessRule, Who},
        host::Accelerator,
    },
    role::{Desired, Operation},
    scalar::{Decimal, LocalId, PrincipalName, Seconds, Text, Token, Uri, UtcTime},
    wire::desired::Wish,
};
use std::num::NonZeroU32;

pub(crate) use self::{
    application::{ae_document, application},
    compute::{ce_document, element, host},
    data::{data_element, data_host, de_document},
    storage::{area, se_document, storage_element, storage_host},
};

/// Texts that a careless writer or reader gets wrong.
const TEXTS: &[&str] = &[
    "x",
    "",
    " ",
    "  two  spaces  ",
    "\n",
    "\r\n",
    "\ttab",
    "a\rb",
    "]]>",
    "<![CDATA[<a>]]>",
    "&amp;",
    "<&>'\"",
    "&#0;",
    "\u{85}\u{2028}\u{a0}",
    "\u{feff}",
    "日本語 😀",
    "<!-- -->",
    "\u{fffd}\u{10fffe}",
];

const TOKENS: &[&str] = &[
    "x", "a b", "<&>'\"", "]]>", "é😀", "0", "-1", "\u{a0}", "a\u{85}b", "none", "true",
];

const EXTENSIONS: &[&str] = &[
    r#"<x:note xmlns:x="urn:example:x"/>"#,
    r#"<note xmlns="urn:example:note" a="&lt;&#10;">text <b>&amp; more</b><![CDATA[<]]></note>"#,
    r#"<x:note xmlns:x="urn:example:x"><plain/><!-- a comment --><?and more?></x:note>"#,
];

/// Decides by the bytes it holds; when they have run out, always for the least.
pub(crate) struct Dice<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl<'a> Dice<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes: bytes.iter(),
        }
    }

    fn byte(&mut self) -> u8 {
        self.bytes.next().copied().unwrap_or(0)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    fn coin(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    fn pick<'b, T>(&mut self, values: &'b [T]) -> &'b T {
        &values[self.below(values.len())]
    }

    fn word(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len())]
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.coin().then(|| make(self))
    }

    fn several<T>(&mut self, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| make(self)).collect()
    }

    fn u64(&mut self) -> u64 {
        match self.byte() % 5 {
            0 => 0,
            1 => u64::MAX,
            2 => u64::from(self.byte()),
            _ => (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte())),
        }
    }

    fn u32(&mut self) -> u32 {
        u32::try_from(self.u64() >> 32).unwrap()
    }

    fn positive(&mut self) -> NonZeroU32 {
        NonZeroU32::new(self.u32()).unwrap_or(NonZeroU32::MIN)
    }

    fn seconds(&mut self) -> Seconds {
        match self.byte() % 3 {
            0 => Seconds::from_secs(u64::from(self.byte()) + 1),
            1 => Seconds::MAX,
            _ => Seconds::from_millis(u64::from(self.u32()) + 1),
        }
    }

    fn decimal(&mut self) -> Decimal {
        let sign = if self.coin() { -1 } else { 1 };
        Decimal::from_millionths(sign * i64::from(self.u32()) * i64::from(self.byte()))
    }

    fn utc(&mut self) -> UtcTime {
        let seconds = UtcTime::from_unix_seconds(i64::from(self.u32())).unwrap();
        let nanos = i64::from(self.u32() % 1_000_000_000);
        UtcTime::new(seconds.to_offset_date_time() + time::Duration::nanoseconds(nanos)).unwrap()
    }

    fn text(&mut self) -> Text {
        if self.byte() == 255 {
            return Text::new(&"ü".repeat(4096)).unwrap();
        }
        let text: String = (0..self.below(4)).map(|_| *self.pick(TEXTS)).collect();
        Text::new(&text).unwrap()
    }

    fn token(&mut self) -> Token {
        Token::new(self.word(TOKENS)).unwrap()
    }

    fn local_id(&mut self) -> LocalId {
        LocalId::new(self.word(&["a", "lab-1.x:y_z", "Z9"])).unwrap()
    }

    fn uri(&mut self) -> Uri {
        Uri::new(self.word(&["urn:x:y", "https://a/?b&c='\"<d>", "a+b.c-1:!~"])).unwrap()
    }

    fn path(&mut self) -> Text {
        Text::new(self.word(&["bin/x", "x y", "a/.b/..c", "<&>"])).unwrap()
    }

    fn extensions(&mut self) -> Extensions {
        let list: Vec<Extension> = self.several(|dice| dice.pick(EXTENSIONS).parse().unwrap());
        Extensions::from(list)
    }

    fn open<T: std::str::FromStr>(&mut self, known: &[&str]) -> T
    where
        T::Err: std::fmt::Debug,
    {
        let text = if self.coin() {
            *self.pick(known)
        } else {
            *self.pick(TOKENS)
        };
        text.parse().unwrap()
    }

    fn digest(&mut self) -> Digest {
        Digest::from_blake3(std::array::from_fn(|_| self.byte()))
    }

    fn wish(&mut self) -> Wish {
        Wish {
            desired: *self.pick(Desired::ALL),
            generation: self.u64(),
            cut_epoch: self.u64(),
        }
    }
}

fn access(dice: &mut Dice<'_>) -> AccessControlBase {
    AccessControlBase {
        scheme: dice.maybe(|_| Token::new("basic").unwrap()),
        rules: dice.several(|dice| {
            let name = PrincipalName::new(dice.word(TOKENS)).unwrap();
            let who = match dice.byte() % 7 {
                0 => Who::All,
                1 => Who::User(name),
                2 => Who::Role(name),
                3 => Who::Domain(name),
                4 => Who::Application(name),
                5 => Who::Dn(name),
                _ => Who::Vo(name),
            };
            let first = *dice.pick(Operation::ALL);
            let operations = dice.maybe(|dice| {
                let mut operations = vec![first];
                operations.extend(dice.several(|dice| *dice.pick(Operation::ALL)));
                operations
            });
            AccessRule {
                who,
                operations,
                part: dice.maybe(Dice::text),
            }
        }),
        extensions: dice.extensions(),
    }
}

fn accelerator(dice: &mut Dice<'_>) -> Accelerator {
    Accelerator {
        kind: dice.token(),
        vendor: dice.maybe(Dice::token),
        model: dice.maybe(Dice::token),
        count: dice.maybe(Dice::u32),
        memory: dice.maybe(Dice::u64),
    }
}
