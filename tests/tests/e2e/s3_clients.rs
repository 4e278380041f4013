//! The S3 door of a Storage Element, as public clients use it beside `awscli`.

use std::{fs, path::PathBuf, process::Command};

use gridmart_tests::{LONG, Run, Running, Supermarket, wait_for};
use nix::sys::signal::Signal;

use crate::{
    person,
    s3::Key,
    storage::{element, host},
};

/// Larger than the parts that the clients are told to put: four parts.
const LARGE_BYTES: u32 = 16 * 1024 * 1024;

/// A supermarket with a Storage Element on two Hosts, somebody's key, and files.
struct Scene {
    market: Supermarket,
    roles: Vec<Running>,
    key: Key,
    files: PathBuf,
}

impl Scene {
    fn start() -> Self {
        let market = Supermarket::builder().hosts(1).start();
        let se = element(&market);
        let hosts = ["rack=r1", "rack=r2"]
            .map(|rack| host(&market, &rack.replace("rack=r", "shost-"), rack));
        let ada = person(&market, "ada", "user");
        wait_for(LONG, "the Element gives out keys", || {
            let run = market.cli_as(&ada, &["key", "list", "--element", "se-1"]);
            (run.code == 0).then_some(()).ok_or(run.stderr)
        });
        let key = Key::create(&market, &ada);
        wait_for(LONG, "a bucket is made", || {
            let run = key.aws(&["s3", "mb", "s3://first"]);
            (run.code == 0).then_some(()).ok_or(run.stderr)
        });
        let files = market.scratch().join("files");
        fs::create_dir_all(files.join("below")).unwrap();
        fs::write(files.join("small"), "hello").unwrap();
        let large: Vec<u8> = (0..LARGE_BYTES)
            .map(|at| u8::try_from(at.wrapping_mul(2_654_435_761) >> 24).unwrap())
            .collect();
        fs::write(files.join("below/large one"), large).unwrap();
        let roles = [se].into_iter().chain(hosts).collect();
        Self {
            market,
            roles,
            key,
            files,
        }
    }

    fn files(&self) -> &str {
        self.files.to_str().unwrap()
    }

    /// A folder beside the files.
    fn beside(&self, name: &str) -> String {
        let folder = self.market.scratch().join(name);
        folder.to_str().unwrap().to_owned()
    }

    fn rclone(&self, words: &[&str]) -> Run {
        let mut command = Command::new("rclone");
        command
            .args(words)
            .args(["--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M"])
            .args(["--retries", "1"])
            .env_remove("AWS_CA_BUNDLE")
            .env("RCLONE_CONFIG", "/dev/null")
            .env("RCLONE_S3_PROVIDER", "Other")
            .env("RCLONE_S3_ACCESS_KEY_ID", self.key.id())
            .env("RCLONE_S3_SECRET_ACCESS_KEY", self.key.text("secret"))
            .env("RCLONE_S3_ENDPOINT", self.key.text("endpoint"))
            .env("RCLONE_S3_REGION", self.key.text("region"));
        Running::start(command, None).wait()
    }

    fn s3cmd(&self, words: &[&str]) -> Run {
        let endpoint = self.key.text("endpoint");
        let door = endpoint.strip_prefix("http://").unwrap();
        let mut command = Command::new("s3cmd");
        command
            .args(["--config", "/dev/null", "--no-ssl"])
            .args(["--host", door, "--host-bucket", door])
            .args(["--region", self.key.text("region")])
            .args(["--access_key", self.key.id()])
            .args(["--secret_key", self.key.text("secret")])
            .args(["--multipart-chunk-size-mb", "5"])
            .args(words);
        Running::start(command, None).wait()
    }

    fn restic(&self, words: &[&str]) -> Run {
        let mut command = Command::new("restic");
        command
            .arg("--no-cache")
            .args(words)
            .env_remove("AWS_CA_BUNDLE")
            .env("AWS_ACCESS_KEY_ID", self.key.id())
            .env("AWS_SECRET_ACCESS_KEY", self.key.text("secret"))
            .env("AWS_DEFAULT_REGION", self.key.text("region"))
            .env("RESTIC_PASSWORD", "correct horse battery staple")
            .env(
                "RESTIC_REPOSITORY",
                format!("s3:{}/backups", self.key.text("endpoint")),
            );
        Running::start(command, None).wait()
    }

    fn stop(self) {
        for role in self.roles.into_iter().rev() {
            role.signal(Signal::SIGTERM);
            role.wait().ok();
        }
        self.market.stop();
    }
}

#[test]
fn folders_are_kept_the_same_through_rclone() {
    let scene = Scene::start();
    scene.rclone(&["mkdir", ":s3:shelf"]).ok();
    scene.rclone(&["sync", scene.files(), ":s3:shelf/dir"]).ok();
    scene
        .rclone(&["check", "--download", scene.files(), ":s3:shelf/dir"])
        .ok();
    scene
        .rclone(&["moveto", ":s3:shelf/dir/small", ":s3:shelf/moved"])
        .ok();
    let listed = scene.rclone(&["lsf", "-R", "--files-only", ":s3:shelf"]);
    assert_eq!(listed.ok().text(), "dir/below/large one\nmoved");
    // What is there already is not put again; what is gone comes back.
    scene.rclone(&["sync", scene.files(), ":s3:shelf/dir"]).ok();
    scene
        .rclone(&["check", scene.files(), ":s3:shelf/dir"])
        .ok();
    scene.rclone(&["purge", ":s3:shelf"]).ok();
    assert_eq!(scene.rclone(&["lsf", ":s3:"]).ok().text(), "first/");
    scene.stop();
}

#[test]
fn files_are_put_shown_and_removed_through_s3cmd() {
    let scene = Scene::start();
    let back = scene.beside("back");
    let large = scene.files.join("below/large one");
    scene.s3cmd(&["mb", "s3://shelf"]).ok();
    let put = ["put", large.to_str().unwrap(), "s3://shelf/dir/large"];
    scene.s3cmd(&put).ok();
    scene.s3cmd(&["get", "s3://shelf/dir/large", &back]).ok();
    assert!(fs::read(&large).unwrap() == fs::read(&back).unwrap());
    let copy = ["cp", "s3://shelf/dir/large", "s3://shelf/copy"];
    scene.s3cmd(&copy).ok();
    let open = ["setacl", "--acl-public", "s3://shelf/copy"];
    scene.s3cmd(&open).ok();
    let info = scene.s3cmd(&["info", "s3://shelf/copy"]).ok().text();
    assert!(info.contains("*anon*: READ"), "{info}");
    assert!(info.contains(&LARGE_BYTES.to_string()), "{info}");
    let all = ["del", "--recursive", "--force", "s3://shelf"];
    scene.s3cmd(&all).ok();
    scene.s3cmd(&["rb", "s3://shelf"]).ok();
    let listed = scene.s3cmd(&["ls"]).ok().text();
    assert!(
        listed.contains("s3://first") && !listed.contains("s3://shelf"),
        "{listed}"
    );
    scene.stop();
}

#[test]
fn backups_are_made_checked_and_restored_through_restic() {
    let scene = Scene::start();
    scene.restic(&["init"]).ok();
    scene.restic(&["backup", scene.files()]).ok();
    let large = scene.files.join("below/large one");
    let before = fs::read(&large).unwrap();
    fs::write(&large, "changed").unwrap();
    scene.restic(&["backup", scene.files()]).ok();
    scene.restic(&["check", "--read-data"]).ok();
    let back = scene.beside("restored");
    fs::write(&large, "lost").unwrap();
    scene.restic(&["restore", "latest", "--target", &back]).ok();
    let restored = |file: &str| {
        let path = format!("{back}{}/{file}", scene.files());
        fs::read(path).unwrap()
    };
    assert_eq!(restored("below/large one"), b"changed");
    assert_eq!(restored("small"), b"hello");
    let listed: serde_json::Value = scene.restic(&["snapshots", "--json"]).ok().json();
    let first = listed[0]["short_id"].as_str().unwrap();
    scene.restic(&["restore", first, "--target", &back]).ok();
    assert!(restored("below/large one") == before);
    let forget = ["forget", "--keep-last", "1", "--prune"];
    scene.restic(&forget).ok();
    scene.restic(&["check", "--read-data"]).ok();
    scene.stop();
}
