//! People, roles and tokens, as the command line shows them.

use gridmart_tests::{Running, SHORT, wait_for};

use crate::{person, shared};

#[test]
fn roles_bound_what_may_be_done() {
    let market = shared();
    let viewer = person(&market, "vera", "viewer");
    market.cli_as(&viewer, &["resources"]).ok();
    let run = market
        .cli_as(&viewer, &["stop", "host-1", "--json"])
        .exits(3);
    assert_eq!(run.problem_code(), "not-authorized");
    market
        .cli_as(
            &viewer,
            &["token", "create", "--kind", "ce", "--domain", "lab"],
        )
        .exits(3);
    market.cli_as(&viewer, &["call", "echo"]).exits(3);
    let user = person(&market, "uma", "user");
    market.cli_as(&user, &["call", "echo"]).ok();
    market.cli_as(&user, &["kill", "ce-1"]).exits(3);
    let audit = market
        .cli(&["audit", "--limit", "500", "--json"])
        .ok()
        .text();
    assert!(audit.contains("vera"), "{audit}");
}

#[test]
fn rules_decide_who_may_call() {
    let market = shared();
    let user = person(&market, "ursula", "user");
    market.upload(
        &gridmart_tests::Application::script("private", "echo mine")
            .rule("<Rule Operations=\"call\">user:somebody.else</Rule>"),
    );
    let run = market
        .cli_as(&user, &["call", "private", "--json"])
        .exits(3);
    assert!(
        ["not-authorized", "need-unmet"].contains(&run.problem_code().as_str()),
        "{}",
        run.stderr
    );
}

#[test]
fn a_promoted_version_is_the_one_that_is_called() {
    let market = shared();
    let version = |number: &str| {
        gridmart_tests::Application::script("paint", &format!("echo {number}")).version(number)
    };
    market.upload(&version("1.0"));
    market.upload(&version("2.0"));
    let called = || market.cli(&["call", "paint"]).ok().text();
    assert_eq!(called(), "1.0", "a new version is no default by itself");
    assert_eq!(
        market.cli(&["promote", "paint", "2.0"]).ok().text(),
        "paint 2.0 is the default: it is called where no version is named."
    );
    assert_eq!(called(), "2.0");
    let back: serde_json::Value = market
        .cli(&["promote", "paint", "1.0", "--json"])
        .ok()
        .json();
    assert_eq!(
        (&back["version"], &back["default"]),
        (&"1.0".into(), &true.into()),
        "{back}"
    );
    assert_eq!(called(), "1.0");
    let rows: serde_json::Value = market.cli(&["versions", "paint", "--json"]).ok().json();
    let defaults = rows["items"].as_array().unwrap().iter();
    assert_eq!(defaults.filter(|row| row["default"] == true).count(), 1);
    let run = market.cli(&["promote", "paint", "3.0", "--json"]).exits(4);
    assert_eq!(run.problem_code(), "unknown-application");
    let other = person(&market, "pia", "developer");
    let run = market
        .cli_as(&other, &["promote", "paint", "2.0", "--json"])
        .exits(3);
    assert_eq!(run.problem_code(), "not-authorized");
    assert_eq!(called(), "1.0");
}

#[test]
fn a_disabled_persons_token_is_refused_at_once() {
    let market = shared();
    let token = person(&market, "dora", "user");
    market.cli_as(&token, &["whoami"]).ok();
    market.cli(&["people", "change", "dora", "--disable"]).ok();
    market.cli_as(&token, &["whoami"]).exits(3);
    market.cli(&["people", "change", "dora", "--enable"]).ok();
    market.cli_as(&token, &["whoami"]).ok();
}

#[test]
fn signing_in_keeps_a_token_and_signing_out_forgets_it() {
    let market = shared();
    person(&market, "lena", "user");
    let home = tempfile::tempdir().unwrap();
    let run = |words: &[&str], stdin: &str| {
        let mut command = market.command(words);
        command
            .env_remove("GRIDMART_URL")
            .env_remove("GRIDMART_TOKEN")
            .env_remove("GRIDMART_CA")
            .env("XDG_CONFIG_HOME", home.path());
        Running::start(command, Some(stdin.as_bytes().to_vec())).wait()
    };
    assert_ne!(run(&["whoami"], "").code, 0);
    run(
        &["login", &market.ready.url, "--user", "lena"],
        "wrong horse battery staple\n",
    )
    .exits(3);
    run(
        &["login", &market.ready.url, "--user", "lena"],
        "correct horse battery staple\n",
    )
    .ok();
    assert!(run(&["whoami"], "").ok().text().contains("lena"));
    assert_eq!(run(&["call", "echo"], "as lena").ok().text(), "as lena");
    let file = home.path().join("gridmart/login.toml");
    let kept = std::fs::read_to_string(&file).unwrap();
    let token = kept
        .lines()
        .find_map(|line| line.strip_prefix("token = \"")?.strip_suffix('"'))
        .unwrap();
    market.cli_as(token, &["whoami"]).ok();
    let out: serde_json::Value = run(&["logout", "--json"], "").ok().json();
    assert_eq!(
        (&out["removed"], &out["revoked"]),
        (&true.into(), &true.into()),
        "{out}"
    );
    assert!(!file.exists());
    assert_ne!(run(&["whoami"], "").code, 0);
    let refused = market.cli_as(token, &["whoami", "--json"]).exits(3);
    assert_eq!(refused.problem_code(), "credentials-refused");
    assert_eq!(run(&["logout"], "").ok().text(), "Nobody was signed in.");

    // Where the controller cannot be asked, the file goes all the same.
    run(
        &["login", &market.ready.url, "--user", "lena"],
        "correct horse battery staple\n",
    )
    .ok();
    let kept = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, kept.replace(&market.ready.url, "http://127.0.0.1:1")).unwrap();
    run(&["logout"], "")
        .ok()
        .says("could not be revoked")
        .says("gridmart token api revoke ");
    assert!(!file.exists());
}

#[test]
fn a_revoked_token_is_worthless() {
    let market = shared();
    let made: serde_json::Value = market
        .cli(&["token", "api", "create", "--json"])
        .ok()
        .json();
    let (token, id) = (
        made["token"].as_str().unwrap().to_owned(),
        made["id"].as_str().unwrap().to_owned(),
    );
    market.cli_as(&token, &["whoami"]).ok();
    market.cli(&["token", "api", "revoke", &id]).ok();
    wait_for(SHORT, "the token is refused", || {
        let run = market.cli_as(&token, &["whoami"]);
        if run.code == 3 {
            Ok(())
        } else {
            Err(run.text())
        }
    });
}
