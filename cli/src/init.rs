//! `gridmart init DIR`: a small application that works as it stands.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use gridmart_schemas::resource::{Document as _, ae_doc::AeDocument};
use serde::Serialize;

use crate::{failure::Failure, output::Output, up::make_folder};

/// The placeholder for the application's name in the templates.
const NAME_MARK: &str = "@NAME@";
/// Name of an application whose folder's name is not fit to be one.
const NAME_FALLBACK: &str = "wordcount";

/// A file of the example: path, text, whether it is a program.
const FILES: [(&str, &str, bool); 5] = [
    ("AEDoc.xml", include_str!("init/AEDoc.xml"), false),
    ("README.md", include_str!("init/README.md"), false),
    ("bin/count", include_str!("init/count"), true),
    ("bin/split", include_str!("init/split"), true),
    ("bin/merge", include_str!("init/merge"), true),
];

/// Make a folder with a small application to start from.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder; new or empty
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The application's name [default: the folder's]
    #[arg(long)]
    name: Option<String>,
}

#[derive(Serialize)]
struct Made {
    folder: PathBuf,
    name: String,
    files: Vec<&'static str>,
}

/// Makes it.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => fit_name(&arguments.folder),
    };
    let manifest = FILES[0].1.replace(NAME_MARK, &name);
    AeDocument::from_xml(manifest.as_bytes(), "AEDoc.xml").map_err(|error| {
        Failure::Usage(format!("{name:?} cannot be an application's name: {error}"))
    })?;
    write(&arguments.folder, &name)?;
    let made = Made {
        folder: arguments.folder.clone(),
        name,
        files: FILES.iter().map(|(path, ..)| *path).collect(),
    };
    output.print(&made, |page| {
        page.line(format!(
            "{} is in {}: {}",
            made.name,
            made.folder.display(),
            made.files.join(", ")
        ));
    })?;
    output.note(&format!(
        "next: gridmart upload {}",
        crate::env::quoted(&arguments.folder.to_string_lossy())
    ));
    Ok(())
}

fn write(folder: &Path, name: &str) -> Result<(), Failure> {
    if folder.exists() {
        let mut entries = fs::read_dir(folder)
            .with_context(|| format!("{} is not a folder that can be read", folder.display()))?;
        if entries.next().is_some() {
            return Err(Failure::local(format!(
                "{} is not empty: name a new folder",
                folder.display()
            )));
        }
    }
    for (path, text, program) in FILES {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            make_folder(parent)?;
        }
        let failed = || format!("{} cannot be written", path.display());
        fs::write(&path, text.replace(NAME_MARK, name)).with_context(failed)?;
        let mode = if program { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).with_context(failed)?;
    }
    Ok(())
}

/// Makes a name of the folder's name.
fn fit_name(folder: &Path) -> String {
    let name: String = folder
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default()
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() {
        NAME_FALLBACK.to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_example_is_valid_and_its_programs_work() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("My App");
        write(&folder, "my-app").unwrap();
        let manifest = fs::read(folder.join("AEDoc.xml")).unwrap();
        let document = AeDocument::from_xml(&manifest, "AEDoc.xml").unwrap();
        assert_eq!(document.info.app_name.as_str(), "my-app");
        let pipe = "bin/split | while IFS= read -r part; do printf '%s' \"$part\" | bin/count; done | bin/merge";
        let mut child = Command::new("sh")
            .args(["-c", pipe])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"one two\n\nthree\n").unwrap();
        assert_eq!(child.wait_with_output().unwrap().stdout, b"3\n");
    }

    #[test]
    fn a_folder_in_use_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("precious"), "x").unwrap();
        assert!(write(folder.path(), "a").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn names_are_made_fit() {
        assert_eq!(fit_name(Path::new("/a/My App")), "my-app");
        assert_eq!(fit_name(Path::new("/")), NAME_FALLBACK);
    }
}
