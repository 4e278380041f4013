//! The second judge of documents: `xmllint` with the XSDs of this crate.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use gridmart_schemas::resource::{
    Document, DocumentError, DocumentErrorKind,
    ae_doc::{AeDocument, ApplicationEnvironment},
    ce::ComputingElement,
    ce_doc::CeDocument,
    de::DataElement,
    de_doc::DeDocument,
    host::{ComputeHost, DataHost, StorageHost},
    se::StorageElement,
    se_doc::SeDocument,
};

/// Most files of one call, far below the system's limit of arguments.
const BATCH: usize = 200;

/// A kind of document that both judges know.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    AeDoc,
    CeDoc,
    Host,
    Element,
    Application,
    SeDoc,
    StorageHost,
    StorageElement,
    DeDoc,
    DataHost,
    DataElement,
}

impl Kind {
    /// By the name of a folder of the corpus.
    pub(crate) fn of_folder(name: &str) -> Self {
        match name {
            "ae" => Self::AeDoc,
            "ce" => Self::CeDoc,
            "host" => Self::Host,
            "se" => Self::SeDoc,
            "shost" => Self::StorageHost,
            "de" => Self::DeDoc,
            other => panic!("no document kind for folder {other}"),
        }
    }

    fn schema(self) -> PathBuf {
        let file = match self {
            Self::AeDoc => "aedoc.xsd",
            Self::CeDoc => "cedoc.xsd",
            Self::Host => "host.xsd",
            Self::Element => "ce.xsd",
            Self::Application => "ae.xsd",
            Self::SeDoc => "sedoc.xsd",
            Self::StorageHost => "shost.xsd",
            Self::StorageElement => "se.xsd",
            Self::DeDoc => "dedoc.xsd",
            Self::DataHost => "dhost.xsd",
            Self::DataElement => "de.xsd",
        };
        Path::new(env!("CARGO_MANIFEST_DIR")).join("xsd").join(file)
    }

    /// What the types say; `Ok` holds the canonical form.
    pub(crate) fn read(self, bytes: &[u8], name: &str) -> Result<String, DocumentError> {
        match self {
            Self::AeDoc => AeDocument::from_xml(bytes, name).map(|document| document.to_xml()),
            Self::CeDoc => CeDocument::from_xml(bytes, name).map(|document| document.to_xml()),
            Self::Host => ComputeHost::from_xml(bytes, name).map(|document| document.to_xml()),
            Self::Element => {
                ComputingElement::from_xml(bytes, name).map(|document| document.to_xml())
            }
            Self::Application => {
                ApplicationEnvironment::from_xml(bytes, name).map(|document| document.to_xml())
            }
            Self::SeDoc => SeDocument::from_xml(bytes, name).map(|document| document.to_xml()),
            Self::StorageHost => {
                StorageHost::from_xml(bytes, name).map(|document| document.to_xml())
            }
            Self::StorageElement => {
                StorageElement::from_xml(bytes, name).map(|document| document.to_xml())
            }
            Self::DeDoc => DeDocument::from_xml(bytes, name).map(|document| document.to_xml()),
            Self::DataHost => DataHost::from_xml(bytes, name).map(|document| document.to_xml()),
            Self::DataElement => {
                DataElement::from_xml(bytes, name).map(|document| document.to_xml())
            }
        }
    }

    /// Whether the types accept it, cross-field rules left aside as XSD has none.
    pub(crate) fn is_typed(self, bytes: &[u8], name: &str) -> Result<(), DocumentError> {
        match self.read(bytes, name) {
            Err(error) if !matches!(error.kind(), DocumentErrorKind::Rules(_)) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Those of the files that `xmllint` accepts.
pub(crate) fn accepted(kind: Kind, files: &[PathBuf]) -> HashSet<PathBuf> {
    let mut accepted = HashSet::new();
    for batch in files.chunks(BATCH) {
        let output = Command::new("xmllint")
            .args(["--noout", "--nonet", "--schema"])
            .arg(kind.schema())
            .args(batch)
            .output()
            .expect("xmllint has to be installed for this test (Debian: libxml2-utils)");
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(
            !report.contains("Schemas parser error") && !report.contains("failed to compile"),
            "xmllint cannot use the schema:\n{report}"
        );
        for line in report.lines() {
            if let Some(file) = line.strip_suffix(" validates") {
                accepted.insert(PathBuf::from(file));
            }
        }
        // Only reported, not counted, by xmllint: names that break the rules of
        // namespaces. How a namespace's own name looks is not among those rules.
        let ill_named = |line: &&str| {
            line.contains(": namespace error :") && !line.contains("is not a valid URI")
        };
        for line in report.lines().filter(ill_named) {
            accepted.remove(Path::new(line.split(':').next().unwrap_or_default()));
        }
    }
    accepted
}

/// What `xmllint` says of one file.
fn opinion(kind: Kind, file: &Path) -> String {
    let mut command = Command::new("xmllint");
    let output = command
        .args(["--noout", "--nonet", "--schema"])
        .arg(kind.schema())
        .arg(file)
        .output();
    String::from_utf8_lossy(&output.expect("xmllint runs").stderr).into_owned()
}

/// Puts documents to both judges at once and lists where they differ.
pub(crate) fn disagreements(kind: Kind, documents: &[String]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files: Vec<PathBuf> = (0..documents.len())
        .map(|index| folder.path().join(format!("{index}.xml")))
        .collect();
    for (file, document) in files.iter().zip(documents) {
        fs::write(file, document).expect("a file in the temporary folder");
    }
    let accepted = accepted(kind, &files);
    files
        .iter()
        .zip(documents)
        .filter_map(|(file, document)| {
            let typed = kind.is_typed(document.as_bytes(), "mutant.xml");
            let agreed = typed.is_ok() == accepted.contains(file);
            (!agreed).then(|| {
                format!(
                    "types: {typed:?}\nxmllint: {}\n{document}",
                    opinion(kind, file)
                )
            })
        })
        .collect()
}

/// The documents of a folder of the corpus, by name.
pub(crate) fn corpus(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    files
}
