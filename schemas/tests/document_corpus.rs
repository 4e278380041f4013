//! The XSDs and the types have to agree on every document of the corpus, and
//! refusals have to say where and why.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed test panics"
)]

mod judge;

use std::fs;

use gridmart_schemas::resource::{
    Document, DocumentErrorKind, Extension, ae_doc::AeDocument, ce_doc::CeDocument,
    validate::Violation,
};
use judge::{Kind, accepted, corpus};

/// Reads a folder of the corpus; gives what goes against `expected`.
fn judged(folder: &str, xmllint_accepts: bool, types_accept: bool) -> (usize, Vec<String>) {
    let kind = Kind::of_folder(
        folder
            .split('/')
            .find(|part| !matches!(*part, "cross" | "refused"))
            .unwrap(),
    );
    let files = corpus(folder);
    let accepted = accepted(kind, &files);
    let mut wrong = Vec::new();
    for file in &files {
        let shown = file.file_name().unwrap().to_string_lossy();
        if accepted.contains(file) != xmllint_accepts {
            wrong.push(format!(
                "{folder}/{shown}: xmllint: {}",
                accepted.contains(file)
            ));
        }
        let read = kind.read(&fs::read(file).unwrap(), &shown);
        if read.is_ok() != types_accept {
            wrong.push(format!("{folder}/{shown}: types: {read:?}"));
        }
    }
    (files.len(), wrong)
}

#[test]
fn xmllint_and_types_agree() {
    let mut total = 0;
    let mut wrong = Vec::new();
    for (folder, good) in [
        ("ae/good", true),
        ("ae/bad", false),
        ("ce/good", true),
        ("ce/bad", false),
        ("host/good", true),
        ("host/bad", false),
        ("se/good", true),
        ("se/bad", false),
        ("shost/good", true),
        ("shost/bad", false),
    ] {
        let (count, found) = judged(folder, good, good);
        total += count;
        wrong.extend(found);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(total >= 40, "only {total} documents");
}

#[test]
fn rules_refuse_what_the_schema_cannot() {
    for folder in ["cross/ae", "cross/ce", "cross/se", "cross/shost"] {
        let (_, wrong) = judged(folder, true, false);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let kind = Kind::of_folder(&folder[6..]);
        for file in corpus(folder) {
            let error = kind.read(&fs::read(&file).unwrap(), "doc.xml").unwrap_err();
            assert!(
                matches!(error.kind(), DocumentErrorKind::Rules(_)),
                "{}: {error}",
                file.display()
            );
            assert!(error.line() > 1, "{}: {error}", file.display());
        }
    }
}

#[test]
fn all_broken_rules_are_listed() {
    let file = corpus("cross/ce")
        .into_iter()
        .find(|file| file.ends_with("several-at-once.xml"))
        .unwrap();
    let error = CeDocument::from_xml(&fs::read(file).unwrap(), "CEDoc.xml").unwrap_err();
    let DocumentErrorKind::Rules(violations) = error.kind() else {
        panic!("{error}");
    };
    let paths: Vec<&str> = violations.as_slice().iter().map(Violation::path).collect();
    assert_eq!(
        paths,
        [
            "/CEDoc/ComputingElement/State/TotalSlots",
            "/CEDoc/ComputingElement/State/TotalJobs",
            "/CEDoc/JoinTokens/JoinToken[2]"
        ]
    );
}

#[test]
fn dangerous_documents_are_refused_whatever_the_schema_says() {
    for file in corpus("refused/ae") {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let error = AeDocument::from_xml(&fs::read(&file).unwrap(), &name).unwrap_err();
        assert!(name.starts_with(error.kind().code()), "{error}");
    }
}

#[test]
fn good_documents_have_a_canonical_form_that_stays() {
    for folder in ["ae/good", "ce/good", "host/good", "se/good", "shost/good"] {
        let kind = Kind::of_folder(folder.split('/').next().unwrap());
        for file in corpus(folder) {
            let first = kind.read(&fs::read(&file).unwrap(), "first.xml").unwrap();
            let second = kind.read(first.as_bytes(), "second.xml");
            assert_eq!(second.as_ref(), Ok(&first), "{}", file.display());
        }
    }
}

#[test]
fn a_refusal_names_file_line_element_and_expectation() {
    let bad = |name: &str| {
        let file = corpus("ae/bad")
            .into_iter()
            .find(|file| file.ends_with(name))
            .unwrap();
        AeDocument::from_xml(&fs::read(file).unwrap(), "AEDoc.xml")
            .unwrap_err()
            .to_string()
    };
    for (name, message) in [
        (
            "missing-element.xml",
            "AEDoc.xml:5: /AEDoc/Info: unexpected element <Kind>; expected <AppVersion>",
        ),
        (
            "missing-last-element.xml",
            "AEDoc.xml:6: /AEDoc/Info: the element ends too early; expected <Kind>",
        ),
        (
            "too-large-u32.xml",
            "AEDoc.xml:8: /AEDoc/Policy/MaxSlots: \"4294967296\" is not valid here; \
             expected a whole number from 0 to 4294967295 without a sign",
        ),
        (
            "missing-attribute.xml",
            "AEDoc.xml:2: /AEDoc: attribute Version is missing",
        ),
        (
            "no-namespace.xml",
            "AEDoc.xml:2: /: unexpected element <AEDoc without a namespace>; expected <AEDoc>",
        ),
        (
            "environment-bad-name.xml",
            "AEDoc.xml:10: /AEDoc/Command/Environment[1]: \"A-B\" is not valid here; \
             expected a letter or `_`, then letters, digits, `_`; at most 255 characters (attribute name)",
        ),
        (
            "wrong-end-tag.xml",
            "AEDoc.xml:6: /AEDoc/Info/Kind: not well-formed XML: expected `</Kind>`, but `</King>` was found",
        ),
    ] {
        assert_eq!(bad(name), message, "{name}");
    }
}

#[test]
fn a_broken_rule_of_storage_says_where_and_what() {
    for (kind, name, message) in [
        (
            Kind::SeDoc,
            "se/total-sum-overflows.xml",
            "36: /SEDoc/StorageElement/State/TotalOnlineSize: TotalOnlineSize is \
             18446744073709551615, but UsedOnlineSize, FreeOnlineSize and ReservedOnlineSize make \
             36893488147419103231",
        ),
        (
            Kind::SeDoc,
            "se/custodial-in-one-copy.xml",
            "154: /SEDoc/Buckets/StorageArea[2]/Info/Redundancy: replica(1) is out of \
             range; expected a redundancy that bears the loss of a Host, as RetentionPolicy is \
             custodial",
        ),
        (
            Kind::SeDoc,
            "se/host-of-another-element.xml",
            "80: /SEDoc/HostTable/Host[1]/StorageHost/Info/Element: the Host's Element is \
             urn:uuid:0190d3c4-0000-7000-8000-000000000003; expected \
             urn:uuid:0190d3c4-0000-7000-8000-000000000001",
        ),
        (
            Kind::SeDoc,
            "se/bucket-path-of-another.xml",
            "150: /SEDoc/Buckets/StorageArea[2]/Path: the Path of the bucket is /other; \
             expected /scratch",
        ),
        (
            Kind::StorageHost,
            "shost/read-only-with-room.xml",
            "58: /StorageHost/State/StorageDevice[2]/AvailableSpace: 1 is out of range; \
             expected 0, as ReadOnly is true",
        ),
        (
            Kind::StorageHost,
            "shost/label-key-twice.xml",
            "42: /StorageHost/Info/FailureLabel[2]: failure label rack stands twice",
        ),
    ] {
        let (folder, file) = name.split_once('/').unwrap();
        let file = corpus(&format!("cross/{folder}"))
            .into_iter()
            .find(|path| path.ends_with(file))
            .unwrap();
        let error = kind.read(&fs::read(file).unwrap(), "doc.xml").unwrap_err();
        let DocumentErrorKind::Rules(violations) = error.kind() else {
            panic!("{name}: {error}");
        };
        assert_eq!(format!("{}: {violations}", error.line()), message, "{name}");
    }
}

#[test]
fn oversized_documents_are_refused_unread() {
    let big = vec![b'<'; AeDocument::BYTES_MAX + 1];
    let error = AeDocument::from_xml(&big, "AEDoc.xml").unwrap_err();
    assert_eq!(error.kind().code(), "too-large");
}

#[test]
fn too_many_repetitions_are_refused() {
    let file = corpus("ae/good")
        .into_iter()
        .find(|file| file.ends_with("minimal.xml"))
        .unwrap();
    let text = fs::read_to_string(file).unwrap();
    let text = text.replace(
        "</Executable>",
        &format!("</Executable>{}", "<Argument/>".repeat(10_001)),
    );
    let error = AeDocument::from_xml(text.as_bytes(), "AEDoc.xml").unwrap_err();
    assert_eq!(error.kind().code(), "too-many");
}

#[test]
fn foreign_elements_from_elsewhere_are_checked() {
    let good = r#"<x:a xmlns:x="urn:example:x"><b/></x:a>"#;
    let extension: Extension = good.parse().unwrap();
    assert_eq!(
        extension.as_str(),
        r#"<x:a xmlns="" xmlns:x="urn:example:x"><b/></x:a>"#
    );
    assert_eq!(extension.as_str().parse().as_ref(), Ok(&extension));
    let nested = format!(
        "<x:a xmlns:x=\"urn:example:x\">{}{}</x:a>",
        "<b>".repeat(16),
        "</b>".repeat(16)
    );
    for bad in [
        "",
        "text",
        "<a/>",
        "<a xmlns=\"urn:gridmart:rdm:1\"/>",
        "<x:a/>",
        "</Info><x:a xmlns:x=\"urn:example:x\"/>",
        "<x:a xmlns:x=\"urn:example:x\"/></Info>",
        "<x:a xmlns:x=\"urn:example:x\"/><x:a xmlns:x=\"urn:example:x\"/>",
        " <x:a xmlns:x=\"urn:example:x\"/>",
        "<x:a xmlns:x=\"urn:example:x\"/>\n",
        "<?xml version=\"1.0\"?><x:a xmlns:x=\"urn:example:x\"/>",
        "<!-- c --><x:a xmlns:x=\"urn:example:x\"/>",
        "<x:a xmlns:x=\"urn:example:x\"><b></x:a>",
        &nested,
    ] {
        assert!(bad.parse::<Extension>().is_err(), "{bad}");
    }
}
