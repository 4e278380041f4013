//! The files of a folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;

use super::plan::{Changed, Entry, Side};
use crate::failure::Failure;

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// Finds all regular files below a folder. What is no file and no folder, or has
/// a name that is no text, is left out.
pub(super) fn files(folder: &Path, left_out: &mut Vec<String>) -> Result<Side, Failure> {
    let mut side = Side::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((path, prefix)) = folders.pop() {
        let read = || format!("{} cannot be listed", path.display());
        for entry in fs::read_dir(&path).with_context(read)? {
            let entry = entry.with_context(read)?;
            let shown = entry.path().display().to_string();
            let Some(name) = entry
                .file_name()
                .to_str()
                .map(|name| format!("{prefix}{name}"))
            else {
                left_out.push(shown);
                continue;
            };
            let kind = entry.file_type().with_context(read)?;
            if kind.is_dir() {
                folders.push((entry.path(), format!("{name}/")));
            } else if kind.is_file() {
                let metadata = entry
                    .metadata()
                    .with_context(|| format!("{shown} cannot be looked at"))?;
                let file = Entry {
                    size: metadata.len(),
                    changed: Changed::At(nanoseconds(metadata.modified()?)),
                    hash: None,
                };
                side.insert(name, file);
            } else {
                left_out.push(shown);
            }
        }
    }
    Ok(side)
}

/// The file of a name; none, if the name leads elsewhere or nowhere.
pub(super) fn path_of(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut path = folder.to_owned();
    for part in name.split('/') {
        if matches!(part, "" | "." | "..") || part.contains('\0') {
            return None;
        }
        path.push(part);
    }
    Some(path)
}

/// Makes the folders that a file of a name is in. Links are not followed: they
/// may lead out of the folder.
pub(super) fn make_folders(folder: &Path, name: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut path = folder.to_owned();
    let Some((folders, _)) = name.rsplit_once('/') else {
        return Ok(());
    };
    for part in folders.split('/') {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                let what = format!("{} is no folder", path.display());
                return Err(io::Error::new(io::ErrorKind::NotADirectory, what));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(&path)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives a file its time.
pub(super) fn set_changed(path: &Path, changed: Changed) -> io::Result<()> {
    let (Changed::At(time) | Changed::PutAt(time)) = changed;
    let Some(time) = moment(time) else {
        return Ok(());
    };
    fs::File::options()
        .write(true)
        .open(path)?
        .set_modified(time)
}

/// The hash of a file's content, in hex.
pub(super) fn hash(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut fs::File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

pub(super) fn nanoseconds(time: SystemTime) -> i128 {
    let signed = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => signed(after),
        Err(before) => -signed(before.duration()),
    }
}

fn moment(time: i128) -> Option<SystemTime> {
    let distance = time.unsigned_abs();
    let seconds = u64::try_from(distance / SECOND.unsigned_abs()).ok()?;
    let rest = u32::try_from(distance % SECOND.unsigned_abs()).ok()?;
    let distance = Duration::new(seconds, rest);
    if time < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    }
}

/// Writes a time as seconds since 1970, with all digits.
pub(super) fn time_text(time: i128) -> String {
    let (seconds, rest) = (time.div_euclid(SECOND), time.rem_euclid(SECOND));
    format!("{seconds}.{rest:09}")
}

/// Reads what [`time_text`] writes, and times with fewer digits.
pub(super) fn time_of(text: &str) -> Option<i128> {
    let (seconds, digits) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    if digits.len() > 9 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let rest: i128 = format!("{digits:0<9}").parse().ok()?;
    Some(i128::from(seconds) * SECOND + rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_do_not_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(path_of(path, "a/b"), Some(path.join("a/b")));
        for name in ["", "/a", "a//b", "../a", "a/..", "./a", "a/", "a\0"] {
            assert_eq!(path_of(path, name), None, "{name:?}");
        }
        make_folders(path, "a/b/c").unwrap();
        assert!(path.join("a/b").is_dir());
        std::os::unix::fs::symlink("/tmp", path.join("link")).unwrap();
        assert!(make_folders(path, "link/c").is_err());
    }

    #[test]
    fn files_are_found_and_links_left_out() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/c"), "123").unwrap();
        fs::write(folder.path().join("d"), "").unwrap();
        std::os::unix::fs::symlink("d", folder.path().join("e")).unwrap();
        let time = Changed::At(1_700_000_000_123_456_789);
        set_changed(&folder.path().join("d"), time).unwrap();
        let mut left_out = Vec::new();
        let side = files(folder.path(), &mut left_out).unwrap();
        let found: Vec<_> = side
            .iter()
            .map(|(name, file)| (name.as_str(), file.size))
            .collect();
        assert_eq!(found, [("a/b/c", 3), ("d", 0)]);
        assert_eq!((side["d"].changed, left_out.len()), (time, 1));
        let known = hash(&folder.path().join("a/b/c")).unwrap();
        assert_eq!(known, blake3::hash(b"123").to_hex().to_string());
    }

    proptest! {
        #[test]
        fn times_read_back(time in i64::MIN / 2..i64::MAX / 2) {
            let time = i128::from(time);
            prop_assert_eq!(time_of(&time_text(time)), Some(time));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,20}") {
            let _ = time_of(&text);
        }
    }
}
