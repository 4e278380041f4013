//! Files that a call takes from buckets and leaves in them. Its Host moves them
//! itself, straight from and to the storage Hosts, with the rights of its caller:
//! over the calls stream it asks for tickets that are good for the key with which
//! it opens TLS, and gets those that the call's files need, no others.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::storage::KEY_BYTES_MAX;
use crate::{
    api::{access::ElementAccess, bucket::BucketAccess},
    id::{KeyHash, RequestId},
    problem::{Code, Problem},
    role::Operation,
    scalar::{BucketName, WorkPath},
};

/// The first minor version that knows of it. An older Host would run a call
/// without its files: it is given none that has any.
pub const STAGING_MINOR: u16 = 3;
/// The most files that a call takes, and the most that it leaves.
pub const STAGED_MAX: usize = 64;
/// Questions for tickets that a Host may have open on one stream.
pub const QUESTIONS_MAX: usize = 16;
/// In keys of what the parts of a map leave: the number of the part.
pub const PART_MARK: &str = "{part}";
/// Longest name of a bucket with its Element, in bytes.
const BUCKET_BYTES_MAX: usize = 512;

/// An object, and where it lies in the work folder of a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StagedFile {
    /// `NAME` of the bucket, or `ELEMENT/NAME`.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The file.
    pub path: WorkPath,
}

/// The files of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// In place, whole, before the program starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<StagedFile>,
    /// Stored when the program has ended with exit code 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<StagedFile>,
}

/// Host → SDK: may I use this bucket, for the files of your calls?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessQuestion {
    /// The Host's own number of the question.
    pub question: u64,
    /// As a call's file names it.
    pub bucket: String,
    /// What is to be done.
    pub operations: Vec<Operation>,
    /// Hash of the key with which the Host opens TLS.
    pub presenter: KeyHash,
    /// As `BucketAccessRequest::going_on`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub going_on: bool,
}

/// SDK → Host: the answer to a question.
#[derive(Clone, Serialize, Deserialize)]
pub struct AccessAnswer {
    /// Which question.
    pub question: u64,
    /// The permission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Box<BucketGrant>>,
    /// Or why there is none: what the controller has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Box<Problem>>,
}

/// The permission to use a bucket, as the controller has given it.
#[derive(Clone, Serialize, Deserialize)]
pub struct BucketGrant {
    /// The request, as all logs name it.
    pub request: RequestId,
    /// What the bucket is.
    pub bucket: BucketAccess,
    /// Where it is, with the ticket.
    pub element: ElementAccess,
    /// Seconds until the ticket expires.
    pub expires_in: u32,
}

// === impl StagedFile ===

impl StagedFile {
    /// Reads `BUCKET/KEY[=PATH]`: the path is, if nothing is said, the last name
    /// of the key. A key with `=` in it needs a path.
    pub fn parse_input(text: &str) -> Result<Self, String> {
        let (place, path) = match text.rsplit_once('=') {
            Some((place, path)) => (place, Some(path)),
            None => (text, None),
        };
        let (bucket, key) = place_of(place)?;
        let path = path.unwrap_or_else(|| key.rsplit('/').next().unwrap_or(key));
        Self::of(bucket, key, path)
    }

    /// Reads `PATH=BUCKET/KEY`.
    pub fn parse_output(text: &str) -> Result<Self, String> {
        let (path, place) = text
            .split_once('=')
            .ok_or_else(|| format!("PATH=BUCKET/KEY is expected, not {text:?}"))?;
        let (bucket, key) = place_of(place)?;
        Self::of(bucket, key, path)
    }

    fn of(bucket: &str, key: &str, path: &str) -> Result<Self, String> {
        let bucket =
            BucketName::new(bucket).map_err(|error| format!("BUCKET/KEY is expected: {error}"))?;
        Ok(Self {
            bucket: bucket.into(),
            key: key.to_owned(),
            path: WorkPath::new(path).map_err(|error| error.to_string())?,
        })
    }

    /// The object, for people.
    pub fn object(&self) -> String {
        format!("{}/{}", self.bucket, self.key)
    }

    /// The same for one part of a map.
    #[must_use]
    pub fn of_part(&self, part: u64) -> Self {
        Self {
            key: self.key.replace(PART_MARK, &part.to_string()),
            ..self.clone()
        }
    }

    fn check(&self) -> Result<(), Problem> {
        let bad = |what: &str| {
            let detail = format!("{what} of a file that goes with the call cannot be used.");
            Err(Problem::new(Code::InvalidRequest, detail))
        };
        if self.bucket.is_empty() || self.bucket.len() > BUCKET_BYTES_MAX {
            return bad("The bucket");
        }
        if self.key.is_empty() || self.key.len() > KEY_BYTES_MAX {
            return bad("The key");
        }
        Ok(())
    }
}

fn place_of(text: &str) -> Result<(&str, &str), String> {
    text.split_once('/')
        .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
        .ok_or_else(|| format!("BUCKET/KEY is expected, not {text:?}"))
}

// === impl Staged ===

impl Staged {
    /// Whether the call has no files of buckets.
    pub const fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.outputs.is_empty()
    }

    /// The same for one part of a map.
    #[must_use]
    pub fn of_part(&self, part: u64) -> Self {
        Self {
            inputs: self.inputs.clone(),
            outputs: self.outputs.iter().map(|file| file.of_part(part)).collect(),
        }
    }

    /// Refuses what cannot be done: too many files, files that lie in each
    /// other's places, two outputs for one object.
    pub fn check(&self) -> Result<(), Problem> {
        if self.inputs.len() > STAGED_MAX || self.outputs.len() > STAGED_MAX {
            let detail =
                format!("A call takes {STAGED_MAX} files of buckets at most, and leaves as many.");
            return Err(Problem::new(Code::TooLarge, detail));
        }
        for file in self.inputs.iter().chain(&self.outputs) {
            file.check()?;
        }
        for (place, input) in self.inputs.iter().enumerate() {
            let others = self.inputs.iter().skip(place + 1);
            let clash = others
                .map(|other| &other.path)
                .find(|path| path.holds(&input.path) || input.path.holds(path));
            if let Some(path) = clash {
                let detail = format!(
                    "Two inputs of the call have the same place: {} and {path}.",
                    input.path
                );
                return Err(Problem::new(Code::InvalidRequest, detail));
            }
        }
        let mut objects = BTreeSet::new();
        for output in &self.outputs {
            if !objects.insert((&output.bucket, &output.key)) {
                let detail = format!("Two outputs of the call are to be {}.", output.object());
                return Err(Problem::new(Code::InvalidRequest, detail));
            }
        }
        Ok(())
    }

    /// Refuses what the parts of a map cannot do: leave the same object.
    pub fn check_for_map(&self) -> Result<(), Problem> {
        let same = self.outputs.iter().find(|out| !out.key.contains(PART_MARK));
        if let Some(output) = same {
            let detail = format!(
                "Every part of the map would leave {}: put {PART_MARK} into the key.",
                output.object()
            );
            return Err(Problem::new(Code::InvalidRequest, detail));
        }
        self.check()
    }

    /// Whether the files need this of a bucket: inputs are read, outputs are
    /// written, and nothing else is done.
    pub fn needs(&self, bucket: &str, operations: &[Operation]) -> bool {
        let among = |files: &[StagedFile]| files.iter().any(|file| file.bucket == bucket);
        !operations.is_empty()
            && operations.iter().all(|operation| match operation {
                Operation::Read => among(&self.inputs),
                Operation::Write => among(&self.outputs),
                _ => false,
            })
    }
}

// === impl AccessAnswer ===

impl AccessAnswer {
    /// Answers a question.
    pub fn new(question: u64, answer: Result<BucketGrant, Problem>) -> Self {
        let (grant, problem) = match answer {
            Ok(grant) => (Some(Box::new(grant)), None),
            Err(problem) => (None, Some(Box::new(problem))),
        };
        Self {
            question,
            grant,
            problem,
        }
    }

    /// What was answered.
    pub fn into_result(self) -> Result<BucketGrant, Problem> {
        let unsaid = || {
            Problem::new(
                Code::VersionUnsupported,
                "The caller's answer says nothing.",
            )
        };
        match (self.grant, self.problem) {
            (_, Some(problem)) => Err(*problem),
            (Some(grant), None) => Ok(*grant),
            (None, None) => Err(unsaid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> StagedFile {
        StagedFile::parse_input(text).unwrap()
    }

    #[test]
    fn files_are_read_as_people_write_them() {
        let told = |file: &StagedFile| format!("{}|{}|{}", file.bucket, file.key, file.path);
        assert_eq!(told(&file("inn/a/b.csv")), "inn|a/b.csv|b.csv");
        assert_eq!(told(&file("inn/a/b.csv=data/x")), "inn|a/b.csv|data/x");
        assert_eq!(told(&file("inn/k=v=x")), "inn|k=v|x");
        let output = StagedFile::parse_output("out/x.json=res/run=7/x.json").unwrap();
        assert_eq!(told(&output), "res|run=7/x.json|out/x.json");
        for bad in [
            "inn",
            "inn/",
            "/k",
            "inn/a/",
            "inn/a=../b",
            "inn/a=/etc/b",
            "inn/a=",
        ] {
            assert!(StagedFile::parse_input(bad).is_err(), "{bad}");
        }
        for bad in ["a", "a=bkt", "=bkt/c", "../a=bkt/c", "/a=bkt/c", "a=bkt/"] {
            assert!(StagedFile::parse_output(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_in_each_others_places_are_refused() {
        let staged = |inputs: &[&str], outputs: &[&str]| Staged {
            inputs: inputs.iter().map(|text| file(text)).collect(),
            outputs: outputs
                .iter()
                .map(|text| StagedFile::parse_output(text).unwrap())
                .collect(),
        };
        assert!(
            staged(&["bkt/x", "bkt/y"], &["x=bkt/x", "x=bkt/z"])
                .check()
                .is_ok()
        );
        assert!(staged(&["bkt/x", "cab/x"], &[]).check().is_err());
        assert!(staged(&["bkt/x=a", "bkt/y=a/b"], &[]).check().is_err());
        assert!(staged(&[], &["x=bkt/x", "y=bkt/x"]).check().is_err());
        let many: Vec<_> = (0..=STAGED_MAX).map(|n| format!("bkt/{n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(staged(&many, &[]).check().unwrap_err().code, Code::TooLarge);
        assert!(staged(&[], &["x=bkt/x"]).check_for_map().is_err());
        let map = staged(&["bkt/x"], &["x=bkt/{part}/x"]);
        assert!(map.check_for_map().is_ok());
        assert_eq!(map.of_part(12).outputs[0].key, "12/x");
    }

    #[test]
    fn only_what_the_files_need_is_granted() {
        use Operation::{Call, Read, Write};
        let staged = Staged {
            inputs: vec![file("inn/x")],
            outputs: vec![StagedFile::parse_output("y=exit/y").unwrap()],
        };
        assert!(staged.needs("inn", &[Read]) && staged.needs("exit", &[Write]));
        assert!(!staged.needs("inn", &[Write]) && !staged.needs("exit", &[Read, Write]));
        assert!(!staged.needs("other", &[Read]) && !staged.needs("inn", &[]));
        assert!(!staged.needs("inn", &[Call]));
    }
}
