use std::{fs, io::Write as _, path::Path};

use proptest::prelude::*;

use super::*;

const MANIFEST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<AEDoc xmlns="urn:gridmart:rdm:1" Version="1">
  <Info><AppName>probe</AppName><AppVersion>1.0</AppVersion><Kind>task</Kind></Info>
  <Policy/>
  <AccessControlBase/>
  <Command><Executable>bin/probe</Executable></Command>
</AEDoc>
"#;

const SMALL: PackageLimits = PackageLimits {
    archive_bytes_max: 1 << 20,
    entries_max: 20,
    unpacked_bytes_max: 1 << 20,
};

/// An archive made by hand: what `tar::Builder` would refuse to write.
struct Hand(Vec<u8>);

impl Hand {
    fn new() -> Self {
        let mut hand = Self(Vec::new());
        hand.add("AEDoc.xml", b'0', 0o644, MANIFEST.as_bytes());
        hand
    }

    fn add(&mut self, name: &str, kind: u8, mode: u32, content: &[u8]) -> &mut Self {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_entry_type(tar::EntryType::new(kind));
        let bytes = header.as_mut_bytes();
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[157..163].copy_from_slice(b"target");
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn compressed(&self) -> Vec<u8> {
        let mut tar = self.0.clone();
        tar.resize(tar.len() + 1024, 0);
        zstd::encode_all(tar.as_slice(), 3).unwrap()
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(MANIFEST_NAME), MANIFEST).unwrap();
    fs::create_dir_all(folder.path().join("bin/deep")).unwrap();
    fs::write(folder.path().join("bin/probe"), "#!/bin/sh\n").unwrap();
    set_executable(&folder.path().join("bin/probe"));
    fs::write(folder.path().join("bin/deep/data"), vec![7; 10_000]).unwrap();
    folder
}

fn set_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o750)).unwrap();
}

fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn packed(folder: &Path) -> (Vec<u8>, Packed) {
    let mut bytes = Vec::new();
    let packed = pack(folder, &mut bytes, &PackageLimits::default()).unwrap();
    (bytes, packed)
}

/// Both ways in refuse it, and nothing is left on the disk.
fn refusal(archive: &[u8]) -> String {
    let inspected = inspect(archive, &SMALL).unwrap_err().to_string();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("package");
    fs::write(&file, archive).unwrap();
    let unpacked = unpack(&file, &place.path().join("into"), &SMALL)
        .unwrap_err()
        .to_string();
    assert_eq!(inspected, unpacked);
    assert_eq!(
        fs::read_dir(place.path()).unwrap().count(),
        1,
        "only the package itself stays"
    );
    inspected
}

#[test]
fn a_folder_comes_back_as_it_was() {
    let source = folder();
    let (bytes, packed) = packed(source.path());
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("package");
    fs::write(&file, &bytes).unwrap();
    assert_eq!(digest_of(&file).unwrap(), packed.digest);
    assert_eq!(packed.size, bytes.len() as u64);
    let into = place.path().join("into");
    let inspection = unpack(&file, &into, &PackageLimits::default()).unwrap();
    assert_eq!(inspection.manifest.info.app_name.as_str(), "probe");
    assert_eq!(inspection.entries, 5);
    assert_eq!(
        fs::read(into.join("bin/deep/data")).unwrap(),
        vec![7; 10_000]
    );
    assert_eq!(mode_of(&into.join("bin/probe")), 0o755);
    assert_eq!(mode_of(&into.join("bin/deep/data")), 0o644);
    assert!(matches!(
        unpack(&file, &into, &PackageLimits::default()),
        Err(PackageError::Disk { .. })
    ));
}

#[test]
fn packing_is_deterministic() {
    let (first, _) = packed(folder().path());
    let (second, _) = packed(folder().path());
    assert_eq!(first, second);
}

#[test]
fn packing_refuses_what_reading_refuses() {
    let source = folder();
    std::os::unix::fs::symlink("/etc/passwd", source.path().join("link")).unwrap();
    let error = pack(source.path(), Vec::new(), &PackageLimits::default()).unwrap_err();
    assert!(error.to_string().contains("\"link\""), "{error}");
    fs::remove_file(source.path().join("link")).unwrap();
    fs::remove_file(source.path().join(MANIFEST_NAME)).unwrap();
    assert!(matches!(
        pack(source.path(), Vec::new(), &SMALL),
        Err(PackageError::ManifestMissing)
    ));
    fs::write(source.path().join(MANIFEST_NAME), "<AEDoc/>").unwrap();
    assert!(matches!(
        pack(source.path(), Vec::new(), &SMALL),
        Err(PackageError::Manifest(_))
    ));
}

#[test]
fn hostile_names_are_refused() {
    for name in ["../evil", "a/../../evil", "/etc/evil", "a/..", "x\u{1}y"] {
        let refused = refusal(&Hand::new().add(name, b'0', 0o644, b"x").compressed());
        assert!(refused.starts_with(&format!("entry {name:?}")), "{refused}");
    }
    let deep = "a/".repeat(40) + "b";
    assert!(refusal(&Hand::new().add(&deep, b'0', 0o644, b"x").compressed()).contains("nested"));
    let mut latin = Hand::new();
    latin.add("zz", b'0', 0o644, b"x");
    let at = latin.0.windows(2).position(|pair| pair == b"zz").unwrap();
    latin.0[at] = 0xff;
    // The check sum does not hold any more, which is refused as well.
    assert!(inspect(latin.compressed().as_slice(), &SMALL).is_err());
}

#[test]
fn only_files_and_folders_are_taken() {
    for (kind, word) in [
        (b'1', "link"),
        (b'2', "link"),
        (b'3', "device"),
        (b'4', "device"),
        (b'6', "named pipe"),
        (b'7', "neither"),
        (b'L', "neither"),
        (b'K', "neither"),
        (b'x', "neither"),
        (b'g', "neither"),
        (b'S', "neither"),
        (b'V', "neither"),
    ] {
        let refused = refusal(&Hand::new().add("odd", kind, 0o644, b"").compressed());
        assert!(
            refused.contains("\"odd\"") && refused.contains(word),
            "{refused}"
        );
    }
}

#[test]
fn special_modes_are_refused() {
    for mode in [0o4755, 0o2755, 0o1755] {
        let refused = refusal(&Hand::new().add("tool", b'0', mode, b"x").compressed());
        assert!(
            refused.contains("\"tool\"") && refused.contains("bit"),
            "{refused}"
        );
    }
}

#[test]
fn duplicates_and_contradictions_are_refused() {
    assert!(
        refusal(
            &Hand::new()
                .add("a", b'0', 0o644, b"1")
                .add("./a", b'0', 0o644, b"2")
                .compressed()
        )
        .contains("twice")
    );
    assert!(
        refusal(
            &Hand::new()
                .add("a", b'0', 0o644, b"1")
                .add("a", b'5', 0o755, b"")
                .compressed()
        )
        .contains("twice")
    );
    assert!(
        refusal(
            &Hand::new()
                .add("a", b'0', 0o644, b"1")
                .add("a/b", b'0', 0o644, b"2")
                .compressed()
        )
        .contains("below a file")
    );
    assert!(
        refusal(
            &Hand::new()
                .add("a", b'5', 0o755, b"")
                .add("a", b'5', 0o755, b"")
                .compressed()
        )
        .contains("twice")
    );
    assert!(
        refusal(&Hand::new().add("AEDoc.xml", b'0', 0o644, b"2").compressed()).contains("twice")
    );
    // A folder may be named after what lies in it.
    let good = Hand::new()
        .add("a/b", b'0', 0o644, b"1")
        .add("a", b'5', 0o755, b"")
        .compressed();
    assert_eq!(inspect(good.as_slice(), &SMALL).unwrap().entries, 3);
}

#[test]
fn too_much_is_refused_while_it_is_read() {
    let mut many = Hand::new();
    for number in 0..30 {
        many.add(&format!("f{number}"), b'0', 0o644, b"");
    }
    assert!(refusal(&many.compressed()).contains("20 entries"));
    let bomb = Hand::new()
        .add("bomb", b'0', 0o644, &vec![0; 3 << 20])
        .compressed();
    assert!(bomb.len() < 4096, "it compresses well");
    assert!(refusal(&bomb).contains("unpacked"));
    // A header that lies about its size is not believed either.
    let mut liar = Hand::new();
    let mut header = tar::Header::new_ustar();
    header.set_path("liar").unwrap();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(u64::MAX >> 8);
    header.set_cksum();
    liar.0.extend_from_slice(header.as_bytes());
    assert!(refusal(&liar.compressed()).contains("unpacked"));
}

#[test]
fn a_bomb_behind_the_last_entry_is_refused() {
    let mut tar = Hand::new().0;
    tar.resize(tar.len() + (8 << 20), 0);
    assert!(refusal(&zstd::encode_all(tar.as_slice(), 3).unwrap()).contains("unpacked"));
    let mut trailing = Hand::new().0;
    trailing.resize(trailing.len() + 1024, 0);
    trailing.extend_from_slice(b"more");
    assert!(
        refusal(&zstd::encode_all(trailing.as_slice(), 3).unwrap()).contains("follows its end")
    );
}

#[test]
fn a_large_archive_is_refused() {
    let limits = PackageLimits {
        archive_bytes_max: 64,
        ..SMALL
    };
    let error = inspect(Hand::new().compressed().as_slice(), &limits).unwrap_err();
    assert!(
        matches!(error, PackageError::Limit { limit: 64, .. }),
        "{error}"
    );
}

#[test]
fn a_huge_window_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&Hand::new().0).unwrap();
    encoder.write_all(&[0; 1024]).unwrap();
    let archive = encoder.finish().unwrap();
    assert!(matches!(
        inspect(archive.as_slice(), &SMALL),
        Err(PackageError::Archive(_))
    ));
}

#[test]
fn a_cut_or_damaged_archive_is_refused() {
    let (bytes, _) = packed(folder().path());
    for length in [0, 1, 4, bytes.len() / 2, bytes.len() - 1] {
        assert!(inspect(&bytes[..length], &SMALL).is_err(), "{length}");
    }
    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    assert!(inspect(flipped.as_slice(), &SMALL).is_err());
}

#[test]
fn a_manifest_is_bounded_and_valid() {
    let mut large = Hand(Vec::new());
    large.add("AEDoc.xml", b'0', 0o644, &vec![b' '; 300 * 1024]);
    assert!(refusal(&large.compressed()).contains("larger than a manifest"));
    let mut none = Hand(Vec::new());
    none.add("readme", b'0', 0o644, b"");
    assert!(refusal(&none.compressed()).contains("AEDoc.xml"));
    let mut wrong = Hand(Vec::new());
    wrong.add("AEDoc.xml", b'0', 0o644, b"<CEDoc/>");
    let problem = Problem::from(inspect(wrong.compressed().as_slice(), &SMALL).unwrap_err());
    assert_eq!(problem.code, Code::InvalidDocument);
    assert!(problem.detail.contains("AEDoc"), "{}", problem.detail);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = inspect(bytes.as_slice(), &SMALL);
        let _ = inspect(zstd::encode_all(bytes.as_slice(), 1).unwrap().as_slice(), &SMALL);
    }

    #[test]
    fn a_damaged_tar_never_escapes(position in 0usize..2000, value: u8) {
        let mut hand = Hand::new();
        hand.add("dir/file", b'0', 0o644, b"content");
        let place = position % hand.0.len();
        hand.0[place] = value;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("package");
        fs::write(&file, hand.compressed()).unwrap();
        let _ = unpack(&file, &folder.path().join("into"), &SMALL);
        for entry in fs::read_dir(folder.path()).unwrap() {
            let name = entry.unwrap().file_name();
            prop_assert!(name == "package" || name == "into");
        }
    }
}
