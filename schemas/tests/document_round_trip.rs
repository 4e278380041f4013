//! Random valid documents read back as they were written, as XML and as JSON,
//! and `xmllint` accepts what we write.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed test panics"
)]

mod judge;
mod sample;

use std::fmt::Debug;

use gridmart_schemas::{
    resource::{Document, ae_doc::AeDocument, ce_doc::HostEntry, se_doc::StorageHostEntry},
    scalar::{Uri, UtcTime},
};
use judge::{Kind, disagreements};
use proptest::{collection::vec, prelude::*, strategy::ValueTree, test_runner::TestRunner};
use sample::{
    Dice, ae_document, application, area, ce_document, data_element, data_host, de_document,
    element, host, se_document, storage_element, storage_host,
};
use serde::{Serialize, de::DeserializeOwned};

/// Documents of each kind that `xmllint` gets to see.
const JUDGED: usize = 12;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..3000)
}

fn reads_back<T: Document + Serialize + DeserializeOwned + PartialEq + Debug>(document: &T) {
    let xml = document.to_xml();
    let read = T::from_xml(xml.as_bytes(), "document.xml")
        .unwrap_or_else(|error| panic!("{error}\n{xml}"));
    assert_eq!(&read, document, "{xml}");
    assert_eq!(read.to_xml(), xml);
    let json = serde_json::to_string(document).unwrap();
    let read: T = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}\n{json}"));
    assert_eq!(&read, document, "{json}");
}

fn element_id() -> Uri {
    Uri::new("urn:uuid:0190d3c4-0000-7000-8000-000000000001").unwrap()
}

proptest! {
    #[test]
    fn ce_documents_read_back(bytes in bytes()) {
        reads_back(&ce_document(&mut Dice::new(&bytes)));
    }

    #[test]
    fn ae_documents_read_back(bytes in bytes()) {
        reads_back(&ae_document(&mut Dice::new(&bytes)));
    }

    #[test]
    fn se_documents_read_back(bytes in bytes()) {
        reads_back(&se_document(&mut Dice::new(&bytes)));
    }

    #[test]
    fn de_documents_read_back(bytes in bytes()) {
        reads_back(&de_document(&mut Dice::new(&bytes)));
    }

    #[test]
    fn single_resources_read_back(bytes in bytes()) {
        let mut dice = Dice::new(&bytes);
        reads_back(&element(&mut dice));
        reads_back(&host(&mut dice, &element_id(), 1));
        reads_back(&storage_element(&mut dice));
        reads_back(&storage_host(&mut dice, &element_id(), 1));
        reads_back(&data_element(&mut dice));
        reads_back(&data_host(&mut dice, &element_id(), 1));
        reads_back(&application(&mut dice));
    }

    #[test]
    fn any_bytes_are_read_or_refused(noise in vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bytes in bytes()) {
        let mut xml = ae_document(&mut Dice::new(&bytes)).to_xml().into_bytes();
        let at = at.index(xml.len());
        xml.splice(at..at, noise);
        // Not to panic is all that is asked.
        let _ = AeDocument::from_xml(&xml, "noise.xml");
    }
}

#[test]
fn xmllint_accepts_what_is_written() {
    let mut runner = TestRunner::default();
    let mut sample = |write: fn(&mut Dice<'_>) -> String| -> Vec<String> {
        (0..JUDGED)
            .map(|_| {
                let bytes = bytes().new_tree(&mut runner).unwrap().current();
                write(&mut Dice::new(&bytes))
            })
            .collect()
    };
    let written = [
        (Kind::CeDoc, sample(|dice| ce_document(dice).to_xml())),
        (Kind::AeDoc, sample(|dice| ae_document(dice).to_xml())),
        (Kind::Element, sample(|dice| element(dice).to_xml())),
        (
            Kind::Host,
            sample(|dice| host(dice, &element_id(), 1).to_xml()),
        ),
        (Kind::Application, sample(|dice| application(dice).to_xml())),
        (Kind::SeDoc, sample(|dice| se_document(dice).to_xml())),
        (
            Kind::StorageElement,
            sample(|dice| storage_element(dice).to_xml()),
        ),
        (
            Kind::StorageHost,
            sample(|dice| storage_host(dice, &element_id(), 1).to_xml()),
        ),
        (Kind::DeDoc, sample(|dice| de_document(dice).to_xml())),
        (
            Kind::DataElement,
            sample(|dice| data_element(dice).to_xml()),
        ),
        (
            Kind::DataHost,
            sample(|dice| data_host(dice, &element_id(), 1).to_xml()),
        ),
    ];
    for (kind, documents) in written {
        for document in &documents {
            kind.read(document.as_bytes(), "written.xml").unwrap();
        }
        let wrong = disagreements(kind, &documents);
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }
}

/// Bytes of which a sample says most that it can.
fn many_bytes() -> Vec<u8> {
    (0..3000_u32)
        .map(|index| u8::try_from(index * 7 % 251).unwrap())
        .collect()
}

fn joined_at() -> UtcTime {
    UtcTime::from_unix_seconds(1_800_000_000).unwrap()
}

/// Reads back, and takes no more than that part of the largest document.
fn fits<T: Document + PartialEq + Debug>(document: &T, kind: Kind, part: usize) {
    let xml = document.to_xml();
    assert!(xml.len() < T::BYTES_MAX / part, "{} bytes", xml.len());
    assert_eq!(
        &T::from_xml(xml.as_bytes(), "document.xml").unwrap(),
        document
    );
    let wrong = disagreements(kind, &[xml]);
    assert!(wrong.is_empty());
}

#[test]
fn a_pool_of_two_thousand_hosts_fits() {
    let bytes = many_bytes();
    let mut document = ce_document(&mut Dice::new(&bytes));
    let id = document.element.id.clone();
    document.host_table.hosts = (0..2000)
        .map(|number| {
            let host = host(&mut Dice::new(&bytes[number % 100..]), &id, number);
            HostEntry::new(host, joined_at())
        })
        .collect();
    fits(&document, Kind::CeDoc, 4);
}

#[test]
fn a_pool_of_two_thousand_storage_hosts_and_ten_thousand_buckets_fits() {
    let bytes = many_bytes();
    let mut document = se_document(&mut Dice::new(&bytes));
    let id = document.element.id.clone();
    document.host_table.hosts = (0..2000)
        .map(|number| {
            let host = storage_host(&mut Dice::new(&bytes[number % 100..][..300]), &id, number);
            StorageHostEntry::new(host, joined_at())
        })
        .collect();
    document.buckets.areas = (0..10_000)
        .map(|number| area(&mut Dice::new(&bytes[number % 100..][..60]), number))
        .collect();
    fits(&document, Kind::SeDoc, 2);
}
