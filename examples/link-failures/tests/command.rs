//! The program as people and the grid call it.

#![allow(clippy::expect_used, reason = "what fails in a helper fails the test")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");

fn link_failures(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_link-failures"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // From a thread, since a program that answers early may not read it all.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer ends");
    output
}

fn stdout_of(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let output = link_failures(arguments, input);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    output.stdout
}

fn complaint_of(arguments: &[&str], input: &[u8]) -> String {
    let output = link_failures(arguments, input);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn gml(name: &str) -> Vec<u8> {
    std::fs::read(format!("{DATA}/{name}.gml")).expect("in the tree")
}

#[test]
fn split_run_and_merge_equal_the_whole_job() {
    let whole = stdout_of(&["--json", "-"], &gml("Geant2012"));
    for split in [&["split"][..], &["split", "--parts", "3"]] {
        let parts = stdout_of(split, &gml("Geant2012"));
        let mut results = Vec::new();
        for part in parts.split_inclusive(|&byte| byte == b'\n') {
            let result = stdout_of(&["run"], part);
            assert_eq!(result.split_inclusive(|&byte| byte == b'\n').count(), 1);
            results.extend(result);
        }
        assert_eq!(stdout_of(&["merge"], &results), whole);
    }
}

#[test]
fn the_table_is_the_same_from_the_file_and_from_the_result() {
    let file = format!("{DATA}/Abilene.gml");
    let table = stdout_of(&["--top", "2", &file], b"");
    let expected = "\
Abilene: 11 nodes, 14 links, baseline total cost 126785 km

rank  edge  source         target            km  pairs lost  km added
   1     9  6 Denver       7 Kansas City    892           0     41512
   2    11  7 Kansas City  10 Indianapolis  731           0     25176
";
    assert_eq!(String::from_utf8_lossy(&table), expected);
    let json = stdout_of(&["--json", &file], b"");
    assert_eq!(
        stdout_of(&["table", "--top", "2", "--labels", &file], &json),
        table
    );
    let bare = String::from_utf8(stdout_of(&["table", "--top", "1"], &json)).expect("text");
    let row = "   1     9  6       7       892           0     41512\n";
    assert!(bare.ends_with(row), "{bare}");
}

#[test]
fn names_in_a_file_cannot_steer_a_terminal() {
    let file = b"graph [ label \"a\x1b[2Jb\" node [ id 1 label \"&#27;]0;x&#7;\" ] edge [ source 1 target 1 ] ]";
    let table = stdout_of(&["-"], file);
    assert!(
        table
            .iter()
            .all(|&byte| byte == b'\n' || !byte.is_ascii_control())
    );
}

#[test]
fn a_malformed_file_is_named_with_its_line() {
    let complaint = complaint_of(&["-"], b"graph [\n node [ id x ]\n]");
    assert!(
        complaint.starts_with("link-failures: standard input:2: "),
        "{complaint}"
    );
    let complaint = complaint_of(&["split"], b"graph [");
    assert!(
        complaint.starts_with("link-failures: standard input:1: "),
        "{complaint}"
    );
    let complaint = complaint_of(&["/nowhere/at/all.gml"], b"");
    assert!(complaint.contains("/nowhere/at/all.gml"), "{complaint}");
}

#[test]
fn foreign_input_to_a_step_is_refused() {
    let parts =
        String::from_utf8(stdout_of(&["split", "--parts", "2"], &gml("Abilene"))).expect("text");
    let [first, second] = [0, 1].map(|part| parts.lines().nth(part).expect("two parts"));
    let results = [first, second]
        .map(|part| String::from_utf8(stdout_of(&["run"], part.as_bytes())).expect("text"));
    let [one, two] = &results;

    let run_cases = [
        (String::new(), "not what `split` writes"),
        (one.clone(), "not what `split` writes"),
        (parts.clone(), "not what `split` writes"),
        (
            first.replacen("\"format\":1", "\"format\":2", 1),
            "format 2",
        ),
        (
            first.replacen("[0,1,1146]", "[0,99,1146]", 1),
            "node number 99",
        ),
        (
            first.replacen("[0,1,1146]", "[0,1,4000000000]", 1),
            "costs 4000000000",
        ),
        (first.replacen("\"end\":5", "\"end\":12", 1), "0..12 of 11"),
    ];
    for (input, words) in run_cases {
        let complaint = complaint_of(&["run"], input.as_bytes());
        assert!(complaint.contains(words), "{words}: {complaint}");
    }
    let merge_cases = [
        (String::new(), "no results"),
        (one.clone(), "only 1 of 2"),
        (
            format!("{two}{one}"),
            "line 1 is the result of part 1 where part 0",
        ),
        (
            format!("{one}{one}"),
            "line 2 is the result of part 0 where part 1",
        ),
        (format!("{one}{two}{two}"), "line 3"),
        (format!("{one}{{}}\n"), "line 2 is not what"),
        (
            format!("{one}{}", two.replacen("Abilene", "Other", 1)),
            "another job",
        ),
        (
            format!(
                "{one}{}",
                two.replacen("\"increases\":[[", "\"increases\":[[77,5],[", 1)
            ),
            "link 77",
        ),
    ];
    for (input, words) in merge_cases {
        let complaint = complaint_of(&["merge"], input.as_bytes());
        assert!(complaint.contains(words), "{words}: {complaint}");
    }
}

#[test]
fn odd_numbers_of_parts_are_refused() {
    for parts in ["0", "-1", "10001", "many"] {
        let output = link_failures(&["split", &format!("--parts={parts}")], b"");
        assert_eq!(output.status.code(), Some(2), "{parts}");
    }
}
