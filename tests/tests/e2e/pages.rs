//! The console's pages in a real browser: a supermarket with something on every shelf,
//! and the scripts in `mgmt-control/console/browser/`, which press the buttons, look at
//! every page, and leave a picture of each.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use gridmart_tests::{Application, LONG, Run, Running, Supermarket, gridmart, wait_for};

use crate::{data, is_soak};

/// Seconds for which the page stands before a crowd of changes.
const CROWD_SECONDS: u32 = 20;
const CROWD_SECONDS_SOAK: u32 = 600;

/// Something on every shelf, with names that look like markup where names may.
fn stocked() -> Supermarket {
    let market = Supermarket::builder()
        .storage_hosts(4)
        .data_hosts(2)
        .start();
    market.upload(&Application::script("count", "wc -c"));
    let words = ["bucket", "create", "photos", "--redundancy", "rs(2,1)"];
    wait_for(LONG, "a bucket is made", || {
        let run = market.cli(&words);
        if run.code == 0 {
            Ok(())
        } else {
            Err(run.stderr)
        }
    });
    let file = market.scratch().join("note");
    fs::write(&file, "a note\n".repeat(1000)).unwrap();
    let file = file.to_str().unwrap();
    for key in ["photos/notes/first.txt", "photos/<b>bold & שלום</b>.txt"] {
        market.cli(&["put", file, key]).ok();
    }
    data::made(&market, "shop", "1");
    data::fill(&market);
    market.cli_with(&["call", "count"], "12345").ok();
    market
}

/// Ends and starts the controller as lines of a connection say, and says when it is
/// done: what scripts that press buttons have for it.
struct Switch(TcpListener);

impl Switch {
    fn command(&self, word: &str) -> String {
        let port = self.0.local_addr().unwrap().port();
        format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo {word} >&3; read -r done <&3")
    }

    /// Until a line says `end`.
    fn serve(&self, market: &Supermarket) {
        for stream in self.0.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            let word = line.trim();
            if word == "end" {
                return;
            }
            if matches!(word, "kill" | "restart") {
                market.kill9("control");
            }
            if matches!(word, "start" | "restart") {
                market.restart("control");
            }
            // Who has asked may be gone.
            let _ = stream.write_all(b"done\n");
        }
    }

    fn end(&self) {
        let mut stream = TcpStream::connect(self.0.local_addr().unwrap()).unwrap();
        stream.write_all(b"end\n").unwrap();
    }
}

fn page_folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mgmt-control/console");
    assert!(
        folder.join("node_modules/playwright-core").is_dir(),
        "the browser's library is not there: scripts/console"
    );
    folder
}

/// Runs a script of the page's folder to its end.
fn script(market: &Supermarket, switch: &Switch, words: &[&str]) -> Run {
    let mut command = Command::new("node");
    command
        .arg(format!("browser/{}", words[0]))
        .arg(&market.ready.url)
        .args(words.iter().skip(1))
        .current_dir(page_folder())
        .env("GRIDMART_URL", &market.ready.url)
        .env("GRIDMART_TOKEN", &market.token)
        .env("GRIDMART_CA", market.ca())
        .env("GRIDMART_BINARY", gridmart())
        .env("GRIDMART_KILL", switch.command("kill"))
        .env("GRIDMART_START", switch.command("start"))
        .env("GRIDMART_RESTART", switch.command("restart"))
        .env("GRIDMART_PICTURES", pictures());
    Running::start(command, None).wait()
}

/// Where pictures of the pages stay for who wants to look at them.
fn pictures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages")
}

#[test]
fn every_page_and_every_button_in_a_browser() {
    let market = stocked();
    let switch = Switch(TcpListener::bind("127.0.0.1:0").unwrap());
    let pictures = pictures();
    // Those of another run say nothing of this one.
    let _ = fs::remove_dir_all(&pictures);
    let seconds = if is_soak() {
        CROWD_SECONDS_SOAK
    } else {
        CROWD_SECONDS
    };
    thread::scope(|scope| {
        let serving = scope.spawn(|| switch.serve(&market));
        let runs = [
            script(&market, &switch, &["act.mjs"]),
            script(&market, &switch, &["walk.mjs", pictures.to_str().unwrap()]),
            script(&market, &switch, &["crowd.mjs", &seconds.to_string()]),
        ];
        switch.end();
        serving.join().unwrap();
        let [acts, walk, _] = runs.map(|run| {
            println!("{}", run.text());
            run.ok()
        });
        assert!(acts.text().contains(" 0 failed, 0 skipped"));
        assert!(walk.text().contains("\n0 complaints"));
    });
    let count = fs::read_dir(&pictures).unwrap().count();
    assert!(count >= 60, "{count} pictures");
    market.stop();
}
