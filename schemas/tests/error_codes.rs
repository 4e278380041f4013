//! `docs/errors.md` is the table of codes, written out: it may not drift.

use std::{fmt::Write as _, path::Path};

use gridmart_schemas::problem::Code;

fn page() -> String {
    let mut page = String::from(
        "# Error codes\n\n\
         Every refusal is a problem document (RFC 9457) with one of these codes. Programs branch on the code, never on the text. \
         *Again* tells whether the same request may succeed later, unchanged.\n\n\
         | code | HTTP status | again | what to do next |\n| --- | --- | --- | --- |\n",
    );
    for code in Code::ALL {
        let again = if code.retryable() { "yes" } else { "no" };
        let _ = writeln!(
            page,
            "| `{code}` | {} | {again} | {} |",
            code.status(),
            code.hint()
        );
    }
    page
}

#[test]
fn the_page_of_error_codes_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    if std::env::var_os("UPDATE_CONTRACTS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found,
        page(),
        "run `UPDATE_CONTRACTS=1 cargo test -p gridmart-schemas --test error_codes`"
    );
}
