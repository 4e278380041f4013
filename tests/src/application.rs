//! Small applications for tests: an `AEDoc.xml` and shell scripts.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// The elements of a Policy that tests set, in the order of the schema.
const POLICY: &[&str] = &[
    "MaxSlots",
    "MaxJobs",
    "WallTimeLimit",
    "CPUTimeLimit",
    "MemoryLimit",
    "VirtualMemoryLimit",
    "FileSizeLimit",
    "ProcessCountLimit",
    "OpenDescriptorsLimit",
    "Retryable",
    "MaxAttempts",
    "MaxOutputSize",
];

/// An application of kind `task` that is being described.
///
/// ```
/// use gridmart_tests::Application;
///
/// let application = Application::script("count", "wc -w").split("cat").merge("paste -sd+").policy("WallTimeLimit", 10);
/// let parent = tempfile::tempdir().unwrap();
/// assert!(application.write(parent.path()).join("AEDoc.xml").is_file());
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Application {
    name: String,
    version: String,
    executable: String,
    /// Elements of the Info, XML.
    info: String,
    /// Elements of the Policy, by name.
    policy: Vec<(&'static str, String)>,
    /// Elements of the `AccessControlBase`, XML.
    rules: String,
    /// Elements of the Needs, XML.
    needs: String,
    split: bool,
    merge: bool,
    /// Path, content, mode.
    files: Vec<(PathBuf, Vec<u8>, u32)>,
}

impl Application {
    /// Begins an application, version 1.0, for everybody, that runs a program:
    /// of the Host if its path is absolute, else of the package.
    pub fn program(name: &str, executable: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: "1.0".to_owned(),
            executable: executable.to_owned(),
            info: String::new(),
            policy: Vec::new(),
            rules: "<Rule>ALL</Rule>".to_owned(),
            needs: String::new(),
            split: false,
            merge: false,
            files: Vec::new(),
        }
    }

    /// Begins an application that runs a shell script.
    pub fn script(name: &str, script: &str) -> Self {
        Self::program(name, "bin/run").shell("bin/run", script)
    }

    /// Sets its version.
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// Splits with a shell script: the input on stdin, one part per line out.
    pub fn split(mut self, script: &str) -> Self {
        self.split = true;
        self.shell("bin/split", script)
    }

    /// Merges with a shell script: all outputs on stdin, the result out.
    pub fn merge(mut self, script: &str) -> Self {
        self.merge = true;
        self.shell("bin/merge", script)
    }

    /// Lets one call run more than once, at most so many times.
    pub fn retryable(mut self, attempts_max: u64) -> Self {
        self.policy.push(("Retryable", true.to_string()));
        self.policy("MaxAttempts", attempts_max)
    }

    /// Sets an element of the Policy.
    pub fn policy(mut self, element: &str, value: u64) -> Self {
        let known = POLICY.iter().find(|known| **known == element);
        self.policy.push((
            known.unwrap_or_else(|| panic!("{element} is not among {POLICY:?}")),
            value.to_string(),
        ));
        self
    }

    /// Adds a capability.
    pub fn capability(mut self, name: &str, version: &str) -> Self {
        // Writing to a String cannot fail.
        let _ = write!(
            self.info,
            "<Capability><Name>{name}</Name><Version>{version}</Version></Capability>"
        );
        self
    }

    /// Replaces the rule, `ALL`, by this one: `<Rule>user:ada</Rule>`.
    pub fn rule(mut self, xml: &str) -> Self {
        xml.clone_into(&mut self.rules);
        self
    }

    /// Adds to the Needs: `<OperatingSystemName>LINUX</OperatingSystemName>`.
    pub fn needs(mut self, xml: &str) -> Self {
        self.needs.push_str(xml);
        self
    }

    /// Adds a file.
    pub fn file(
        mut self,
        path: impl Into<PathBuf>,
        content: impl Into<Vec<u8>>,
        mode: u32,
    ) -> Self {
        self.files.push((path.into(), content.into(), mode));
        self
    }

    /// Adds a shell script.
    pub fn shell(self, path: &str, script: &str) -> Self {
        self.file(path, format!("#!/bin/sh\n{script}\n"), 0o755)
    }

    /// Gives the manifest.
    pub fn manifest(&self) -> String {
        let step = |there: bool, name: &str, path: &str| {
            if there {
                format!("<{name}><Executable>{path}</Executable></{name}>")
            } else {
                String::new()
            }
        };
        let needs = if self.needs.is_empty() {
            String::new()
        } else {
            format!("<Needs>{}</Needs>", self.needs)
        };
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<AEDoc xmlns=\"urn:gridmart:rdm:1\" Version=\"1\">\
             <Info><AppName>{name}</AppName><AppVersion>{version}</AppVersion><Kind>task</Kind>{info}</Info>\
             <Policy>{policy}</Policy><AccessControlBase>{rules}</AccessControlBase>\
             <Command><Executable>{executable}</Executable>{split}{merge}</Command>{needs}</AEDoc>\n",
            name = self.name,
            version = self.version,
            info = self.info,
            policy = self.policy_xml(),
            rules = self.rules,
            executable = self.executable,
            split = step(self.split, "Split", "bin/split"),
            merge = step(self.merge, "Merge", "bin/merge"),
        )
    }

    /// Writes the folder that is uploaded, below `parent`; gives its path.
    pub fn write(&self, parent: &Path) -> PathBuf {
        let folder = parent.join(format!("{}-{}", self.name, self.version));
        let manifest = (
            PathBuf::from("AEDoc.xml"),
            self.manifest().into_bytes(),
            0o644,
        );
        for (path, content, mode) in self.files.iter().chain([&manifest]) {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("a file lies in a folder"))
                .expect("a folder can be made");
            fs::write(&path, content).expect("a file can be written");
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode))
                .expect("a mode can be set");
        }
        folder
    }

    fn policy_xml(&self) -> String {
        let mut elements: Vec<_> = self.policy.iter().collect();
        elements.sort_by_key(|(name, _)| POLICY.iter().position(|known| known == name));
        elements
            .into_iter()
            .fold(String::new(), |xml, (name, value)| {
                xml + &format!("<{name}>{value}</{name}>")
            })
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::resource::{Document as _, ae_doc::AeDocument};

    use super::*;

    #[test]
    fn the_manifest_is_one_that_gridmart_takes() {
        let application = Application::script("count", "wc -w")
            .split("cat")
            .merge("cat")
            .retryable(2)
            .policy("WallTimeLimit", 10)
            .capability("words", "1.0")
            .needs("<OperatingSystemName>LINUX</OperatingSystemName>");
        let parent = tempfile::tempdir().unwrap();
        let folder = application.write(parent.path());
        let manifest = fs::read(folder.join("AEDoc.xml")).unwrap();
        let document = AeDocument::from_xml(&manifest, "AEDoc.xml").unwrap();
        assert_eq!(
            (document.policy.max_attempts, document.policy.retryable),
            (Some(2), Some(true))
        );
        assert!(document.command.split.is_some() && document.command.merge.is_some());
        let mode = fs::metadata(folder.join("bin/run"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o755);
    }
}
