//! `gridmart env`: what a shell needs to speak to a supermarket of `up`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gridmart_fabric::ready;
use gridmart_schemas::api::access_key::AccessKeyMade;
use nix::{sys::signal::kill, unistd::Pid};

use crate::{
    failure::Failure,
    key::variables,
    output::Output,
    up::{
        CA_FILE, CONTROL, DATA_ELEMENT, FirstAdmin, POSTGRES_KEY_FILE, S3_KEY_FILE,
        STORAGE_ELEMENT, data_dir,
    },
};

/// Print the variables that lead this shell to a supermarket: eval "$(gridmart env)".
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Data folder of `gridmart up` [default: $XDG_DATA_HOME/gridmart]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Prints the variables.
pub(crate) fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let folder = data_dir(arguments.data_dir)?;
    demand_running(&folder)?;
    let FirstAdmin { url, token } = FirstAdmin::read(&folder.join(CONTROL))?;
    let mut all = vec![("GRIDMART_URL", url), ("GRIDMART_TOKEN", token)];
    let ca = folder.join(CA_FILE);
    let ca = ca.exists().then(|| ca.display().to_string());
    all.extend(ca.clone().map(|ca| ("GRIDMART_CA", ca)));
    all.extend(key_variables(
        &folder.join(S3_KEY_FILE),
        &folder.join(STORAGE_ELEMENT),
        ("s3", "http"),
    )?);
    let postgres = key_variables(
        &folder.join(POSTGRES_KEY_FILE),
        &folder.join(DATA_ELEMENT),
        ("postgres", "postgresql"),
    )?;
    if let (false, Some(ca)) = (postgres.is_empty(), ca) {
        all.push(("PGSSLROOTCERT", ca));
    }
    all.extend(postgres);
    if output.json() {
        let named = all
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()));
        let variables: serde_json::Map<String, serde_json::Value> = named.collect();
        return output.print(&variables, |_| ());
    }
    let lines = all.iter().map(|(name, value)| {
        let value = quoted(value);
        format!("export {name}={value}\n")
    });
    let text = lines.collect::<Vec<_>>().concat();
    output.write(text.as_bytes())
}

/// What leads clients of one door here, if the supermarket has it: the key in that file,
/// of the Element in that folder.
fn key_variables(
    file: &Path,
    element: &Path,
    (door, scheme): (&str, &str),
) -> Result<Vec<(&'static str, String)>, Failure> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let made: AccessKeyMade = serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged: remove it and start anew", file.display()))?;
    // The door may be at another port than when the key was made.
    let now = ready::read(element)?
        .and_then(|ready| ready.addresses.get(door).cloned())
        .map(|address| format!("{scheme}://{address}"));
    Ok(variables(&made, now.as_deref()))
}

fn demand_running(folder: &Path) -> Result<(), Failure> {
    let running = ready::read(&folder.join(CONTROL))?.is_some_and(|ready| {
        let pid = i32::try_from(ready.pid).unwrap_or(i32::MAX);
        kill(Pid::from_raw(pid), None).is_ok()
    });
    if running {
        return Ok(());
    }
    Err(Failure::local(format!(
        "no supermarket runs on {0}: start it with `gridmart up --data-dir {0}`",
        folder.display()
    )))
}

/// Quotes a text for a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:=@%+-".contains(&byte);
    if !text.is_empty() && text.bytes().all(harmless) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_shell_reads_back_what_was_quoted(text in "[^\0]{0,30}") {
            let script = format!("printf %s {}", quoted(&text));
            let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
            prop_assert_eq!(output.stdout, text.into_bytes());
        }
    }
}
