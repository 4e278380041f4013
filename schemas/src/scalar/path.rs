//! Paths inside of a call's work folder.

use std::borrow::Cow;

use super::text::string_scalar;

/// Longest path, in bytes.
const PATH_BYTES_MAX: usize = 1024;
/// Longest name in a path, in bytes, as file systems have it.
const NAME_BYTES_MAX: usize = 255;

/// Each step leads downwards: nothing that begins here ends elsewhere.
fn is_work_path(text: &str) -> bool {
    let is_name = |name: &str| {
        !matches!(name, "" | "." | "..") && name.len() <= NAME_BYTES_MAX && !name.contains('\0')
    };
    text.len() <= PATH_BYTES_MAX && text.split('/').all(is_name)
}

string_scalar!(
    /// Where a file lies in the work folder of a call.
    WorkPath, "a path below the work folder of the call: names joined by `/`, none of them `.`, `..` or empty; at most 1024 bytes", Cow::Borrowed, is_work_path
);

impl WorkPath {
    /// The folders above the file, outermost first, and its name.
    pub fn names(&self) -> (impl Iterator<Item = &str>, &str) {
        let (above, name) = self
            .as_str()
            .rsplit_once('/')
            .unwrap_or(("", self.as_str()));
        (above.split('/').filter(|name| !name.is_empty()), name)
    }

    /// Whether the other one lies below this, or is it.
    pub fn holds(&self, other: &Self) -> bool {
        let rest = other.as_str().strip_prefix(self.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_leads_out_of_the_folder() {
        for good in ["a", "a/b.c", "...", ".hidden", " a ", "a=b", "é/ü"] {
            assert_eq!(WorkPath::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "a/..",
            "../a",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a\0b",
            &"x".repeat(256),
            &"x/".repeat(600),
        ] {
            assert!(WorkPath::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn folders_and_names_come_apart() {
        let path = WorkPath::new("a/b/c").unwrap();
        let (folders, name) = path.names();
        assert_eq!((folders.collect::<Vec<_>>(), name), (vec!["a", "b"], "c"));
        let path = |text: &str| WorkPath::new(text).unwrap();
        assert_eq!(path("c").names().0.count(), 0);
        assert!(path("a").holds(&path("a/b")) && path("a").holds(&path("a")));
        assert!(!path("a").holds(&path("ab")) && !path("a/b").holds(&path("a")));
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_below(text in "[./a]{0,12}") {
            if let Ok(path) = WorkPath::new(&text) {
                let mut depth = 0;
                for part in std::path::Path::new(path.as_str()).components() {
                    prop_assert!(matches!(part, std::path::Component::Normal(_)));
                    depth += 1;
                }
                prop_assert!(depth > 0);
            }
        }
    }
}
