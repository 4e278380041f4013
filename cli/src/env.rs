//! `gridmart env`: what a shell needs to speak to a supermarket of `up`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gridmart_fabric::ready;
use gridmart_schemas::api::access_key::AccessKeyMade;
use nix::{sys::signal::kill, unistd::Pid};
use serde::Serialize;

use crate::{
    failure::Failure,
    output::Output,
    up::{CA_FILE, CONTROL, FirstAdmin, S3_KEY_FILE, STORAGE_ELEMENT, data_dir},
};

/// Print the variables that lead this shell to a supermarket: eval "$(gridmart env)".
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Data folder of `gridmart up` [default: $XDG_DATA_HOME/gridmart]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct Variables {
    #[serde(rename = "GRIDMART_URL")]
    url: String,
    #[serde(rename = "GRIDMART_TOKEN")]
    token: String,
    #[serde(rename = "GRIDMART_CA", skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    s3: Option<S3Variables>,
}

/// What every S3 client reads.
#[derive(Serialize)]
struct S3Variables {
    #[serde(rename = "AWS_ENDPOINT_URL")]
    endpoint: String,
    #[serde(rename = "AWS_ACCESS_KEY_ID")]
    id: String,
    #[serde(rename = "AWS_SECRET_ACCESS_KEY")]
    secret: String,
    #[serde(rename = "AWS_REGION")]
    region: String,
}

/// Prints the variables.
pub(crate) fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let folder = data_dir(arguments.data_dir)?;
    demand_running(&folder)?;
    let FirstAdmin { url, token } = FirstAdmin::read(&folder.join(CONTROL))?;
    let variables = Variables {
        url,
        token,
        ca: Some(folder.join(CA_FILE))
            .filter(|path| path.exists())
            .map(|path| path.display().to_string()),
        s3: s3_variables(&folder)?,
    };
    let s3 = variables.s3.as_ref();
    let mut text = String::new();
    for (name, value) in [
        ("GRIDMART_URL", Some(&variables.url)),
        ("GRIDMART_TOKEN", Some(&variables.token)),
        ("GRIDMART_CA", variables.ca.as_ref()),
        ("AWS_ENDPOINT_URL", s3.map(|s3| &s3.endpoint)),
        ("AWS_ACCESS_KEY_ID", s3.map(|s3| &s3.id)),
        ("AWS_SECRET_ACCESS_KEY", s3.map(|s3| &s3.secret)),
        ("AWS_REGION", s3.map(|s3| &s3.region)),
    ] {
        let Some(value) = value else { continue };
        text.push_str("export ");
        text.push_str(name);
        text.push('=');
        text.push_str(&quoted(value));
        text.push('\n');
    }
    if output.json() {
        output.print(&variables, |_| ())
    } else {
        output.write(text.as_bytes())
    }
}

/// What leads S3 clients here, if the supermarket has storage.
fn s3_variables(folder: &Path) -> Result<Option<S3Variables>, Failure> {
    let path = folder.join(S3_KEY_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let made: AccessKeyMade = serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged: remove it and start anew", path.display()))?;
    let AccessKeyMade {
        id,
        secret,
        endpoint,
        region,
        ..
    } = made;
    // The door may be at another port than when the key was made.
    let now = ready::read(&folder.join(STORAGE_ELEMENT))?
        .and_then(|ready| ready.addresses.get("s3").cloned())
        .map(|address| format!("http://{address}"));
    Ok(Some(S3Variables {
        endpoint: now.unwrap_or(endpoint),
        id,
        secret,
        region,
    }))
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
