//! The beginning of a form, up to its file.

use std::ops::Range;

/// What a form says before its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Head {
    fields: Vec<Field>,
    /// As the browser names the file.
    file_name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    /// In lower case.
    name: String,
    value: String,
    /// Where the value stands.
    at: Range<usize>,
    /// Where all of the part stands, from boundary to boundary.
    part: Range<usize>,
}

/// Why it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    NoForm,
    NoFile,
}

/// Stands in a key for the name of the file.
const FILE_NAME: &str = "${filename}";

/// Reads a form as it comes.
pub(super) struct HeadReader {
    /// With its dashes.
    boundary: Vec<u8>,
    /// Where the part begins that is not read yet: at its boundary.
    at: Option<usize>,
    fields: Vec<Field>,
}

impl HeadReader {
    pub(super) fn new(boundary: &[u8]) -> Self {
        Self {
            boundary: [b"--", boundary].concat(),
            at: None,
            fields: Vec::new(),
        }
    }

    /// Goes on with all bytes that have come; none: there are not enough.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<Option<Head>, Malformed> {
        let Some(mut at) = self.at.or_else(|| self.begin(bytes)) else {
            return Ok(None);
        };
        loop {
            self.at = Some(at);
            let Some(next) = self.part(bytes, at)? else {
                return Ok(None);
            };
            match next {
                Next::Part(after) => at = after,
                Next::File(file_name) => {
                    return Ok(Some(Head {
                        fields: std::mem::take(&mut self.fields),
                        file_name,
                    }));
                }
            }
        }
    }

    /// An empty line may come first.
    fn begin(&self, bytes: &[u8]) -> Option<usize> {
        let enough = bytes.len() >= self.boundary.len() + 2;
        enough.then(|| if bytes.starts_with(b"\r\n") { 2 } else { 0 })
    }

    fn part(&mut self, bytes: &[u8], at: usize) -> Result<Option<Next>, Malformed> {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = rest.get(..self.boundary.len() + 2) else {
            return Ok(None);
        };
        match end.strip_prefix(&*self.boundary) {
            Some(b"\r\n") => {}
            Some(b"--") => return Err(Malformed::NoFile),
            _ => return Err(Malformed::NoForm),
        }
        let Some(blank) = find(rest, b"\r\n\r\n") else {
            return Ok(None);
        };
        let lines = rest.get(end.len()..blank).unwrap_or_default();
        let named = Named::read(lines).ok_or(Malformed::NoForm)?;
        if named.name == "file" {
            return Ok(Some(Next::File(named.file_name)));
        }
        let begin = at + blank + 4;
        let value = bytes.get(begin..).unwrap_or_default();
        let Some(length) = find(value, &[b"\r\n", &*self.boundary].concat()) else {
            return Ok(None);
        };
        let text = value.get(..length).unwrap_or_default();
        self.fields.push(Field {
            name: named.name,
            value: str::from_utf8(text)
                .map_err(|_| Malformed::NoForm)?
                .to_owned(),
            at: begin..begin + length,
            part: at..begin + length + 2,
        });
        Ok(Some(Next::Part(begin + length + 2)))
    }
}

/// What follows a part.
enum Next {
    /// Another one, there.
    Part(usize),
    /// Nothing: it is the file.
    File(Option<String>),
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// What the lines before a part say.
struct Named {
    name: String,
    file_name: Option<String>,
}

impl Named {
    fn read(lines: &[u8]) -> Option<Self> {
        let text = str::from_utf8(lines).ok()?;
        let disposition = text.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim()
                .eq_ignore_ascii_case("content-disposition")
                .then_some(value)
        })?;
        Some(Self {
            name: parameter(disposition, "name")?.to_ascii_lowercase(),
            file_name: parameter(disposition, "filename"),
        })
    }
}

/// A quoted parameter; a quote in it stands after a backslash or as `%22`.
fn parameter(text: &str, wanted: &str) -> Option<String> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(';') {
        let (name, value) = after.split_once('=')?;
        let quoted = value.trim_start().strip_prefix('"')?;
        let mut end = None;
        let mut is_escaped = false;
        for (at, character) in quoted.char_indices() {
            match character {
                '"' if !is_escaped => {
                    end = Some(at);
                    break;
                }
                '\\' => is_escaped = !is_escaped,
                _ => is_escaped = false,
            }
        }
        let (value, after) = quoted.split_at_checked(end?)?;
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value.replace("\\\"", "\"").replace("%22", "\""));
        }
        rest = after;
    }
    None
}

impl Head {
    /// A field's value: the last one, where it stands more than once.
    pub(in super::super) fn value(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter().rev();
        fields
            .find(|field| field.name == name)
            .map(|field| field.value.as_str())
    }

    /// The name of the file without the folders that some browsers tell.
    fn file_name(&self) -> &str {
        let name = self.file_name.as_deref().unwrap_or_default();
        name.rsplit(['/', '\\']).next().unwrap_or_default()
    }

    /// The same bytes with the file's name where the key asks for it: the policy is
    /// asked about the key as it is then. Some fields are left out.
    pub(super) fn rewritten(&self, bytes: &[u8], is_out: impl Fn(&str) -> bool) -> Vec<u8> {
        let mut whole = Vec::with_capacity(bytes.len());
        let mut from = 0;
        for field in &self.fields {
            let (place, text) = if is_out(&field.name) {
                (&field.part, String::new())
            } else if field.name == "key" && field.value.contains(FILE_NAME) {
                let key = field.value.replace(FILE_NAME, self.file_name());
                (&field.at, key)
            } else {
                continue;
            };
            whole.extend_from_slice(bytes.get(from..place.start).unwrap_or_default());
            whole.extend_from_slice(text.as_bytes());
            from = place.end;
        }
        whole.extend_from_slice(bytes.get(from..).unwrap_or_default());
        whole
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORM: &str = "--x\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\nin/${filename}\r\n\
        --x\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name=\"acl\"\r\n\r\n\r\n\
        --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\dir\\a b.txt\"\r\n\r\nbytes\r\n--x--\r\n";

    fn read(text: &str) -> Result<Option<Head>, Malformed> {
        HeadReader::new(b"x").advance(text.as_bytes())
    }

    #[test]
    fn fields_and_the_files_name_are_read_however_they_come() {
        let whole = read(FORM).unwrap().unwrap();
        assert_eq!(whole.value("key"), Some("in/${filename}"));
        assert_eq!(
            (whole.value("acl"), whole.value("policy")),
            (Some(""), None)
        );
        assert_eq!(whole.file_name(), "a b.txt");
        let mut reader = HeadReader::new(b"x");
        let found =
            (0..=FORM.len()).find_map(|end| reader.advance(&FORM.as_bytes()[..end]).unwrap());
        assert_eq!(found, Some(whole.clone()));
        let named = whole.rewritten(FORM.as_bytes(), |name| name == "acl");
        let named = String::from_utf8(named).unwrap();
        let (before, rest) = FORM.split_once("--x\r\nContent-Type").unwrap();
        let (_, after) = rest.split_once("--x\r\n").unwrap();
        let expected = format!("{before}--x\r\n{after}").replace(FILE_NAME, "a b.txt");
        assert_eq!(named, expected);
        assert!(read(&format!("\r\n{FORM}")).unwrap().is_some());
    }

    #[test]
    fn what_is_no_form_or_has_no_file_is_refused() {
        assert_eq!(read("--y\r\n\r\n"), Err(Malformed::NoForm));
        assert_eq!(read("--x\r\nno: name\r\n\r\n"), Err(Malformed::NoForm));
        let (fields, _) = FORM.rsplit_once("--x\r\n").unwrap();
        assert_eq!(read(&format!("{fields}--x--\r\n")), Err(Malformed::NoFile));
        assert_eq!(read(fields), Ok(None));
    }

    #[test]
    fn quotes_in_names_are_taken_off() {
        let text = r#" form-data; name="file"; filename="a\"b%22;c""#;
        assert_eq!(parameter(text, "filename").unwrap(), "a\"b\";c");
        assert_eq!(parameter(text, "name").unwrap(), "file");
        assert_eq!(parameter("form-data; name=bare", "name"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..200), end in "\\PC{0,40}") {
            let _ = HeadReader::new(b"x").advance(&bytes);
            let _ = read(&format!("--x\r\nContent-Disposition: {end}\r\n\r\n{end}\r\n--x\r\n"));
        }
    }
}
