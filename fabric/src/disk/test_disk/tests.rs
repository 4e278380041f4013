use super::*;
use crate::disk::durable_write;

const PATH: &str = "/lib/document";

#[test]
fn durable_write_is_old_or_new_at_every_fault_and_every_place() {
    let path = Path::new(PATH);
    let cases = Fault::ALL
        .into_iter()
        .flat_map(|fault| (0..10).map(move |step| (fault, step)));
    for (fault, step) in cases {
        for seed in 0..4 {
            let disk = TestDisk::seeded(seed);
            durable_write(&disk, path, b"old document", Secrecy::Open).unwrap();
            disk.fail_at(step, fault);
            let outcome = durable_write(&disk, path, b"new document", Secrecy::Open);
            disk.restart();
            let found = disk.read(path).unwrap();
            match outcome {
                Ok(()) => assert_eq!(found, b"new document", "{fault:?} at {step}"),
                Err(_) => assert!(
                    found == b"old document" || found == b"new document",
                    "{fault:?} at {step}, seed {seed}: {found:?}"
                ),
            }
            durable_write(&disk, path, b"later", Secrecy::Open).unwrap();
            disk.restart();
            assert_eq!(disk.read(path).unwrap(), b"later");
        }
    }
}

#[test]
fn it_catches_a_writer_that_forgets_to_sync() {
    let disk = TestDisk::new();
    let (temporary, path) = (Path::new("/d/t"), Path::new("/d/f"));
    disk.write(temporary, b"content", Secrecy::Open).unwrap();
    disk.rename(temporary, path).unwrap();
    disk.sync_folder(Path::new("/d")).unwrap();
    disk.restart();
    assert_ne!(disk.read(path).unwrap(), b"content");
}

#[test]
fn it_catches_a_writer_that_syncs_again_after_a_failed_sync() {
    let disk = TestDisk::new();
    let path = Path::new("/d/journal");
    let file = disk.open(path, Secrecy::Open).unwrap();
    file.write_at(b"one", 0).unwrap();
    file.sync().unwrap();
    disk.sync_folder(Path::new("/d")).unwrap();
    file.write_at(b"two", 3).unwrap();
    disk.fail_at(0, Fault::FailedSync);
    assert!(file.sync().is_err());
    assert!(file.sync().is_ok(), "as Linux says it");
    disk.restart();
    assert_eq!(disk.read(path).unwrap(), b"one");
}

#[test]
fn a_full_one_takes_a_piece_and_then_nothing_until_there_is_room() {
    let disk = TestDisk::seeded(7);
    let path = Path::new("/d/f");
    disk.fail_at(0, Fault::Full);
    let kind = |outcome: io::Result<()>| outcome.unwrap_err().kind();
    let full = io::ErrorKind::StorageFull;
    assert_eq!(kind(disk.append(path, &[1; 1000], Secrecy::Open)), full);
    assert!(disk.read(path).unwrap().len() < 1000);
    assert_eq!(kind(disk.append(path, &[1; 10], Secrecy::Open)), full);
    let file = disk.open(path, Secrecy::Open).unwrap();
    let length = file.length().unwrap();
    file.write_at(&vec![2; usize::try_from(length).unwrap()], 0)
        .unwrap();
    assert_eq!(kind(file.write_at(&[2], length)), full);
    assert!(disk.remove(path).is_ok(), "to make room has to be possible");
    disk.mend();
    disk.append(path, &[1; 10], Secrecy::Open).unwrap();
}

#[test]
fn one_that_is_read_only_changes_nothing() {
    let disk = TestDisk::new();
    let path = Path::new("/d/f");
    disk.write(path, b"there", Secrecy::Open).unwrap();
    disk.fail_at(0, Fault::ReadOnly);
    for outcome in [
        disk.append(path, b"more", Secrecy::Open),
        disk.truncate(path, 0),
        disk.rename(path, Path::new("/d/g")),
        disk.remove(path),
    ] {
        assert_eq!(
            outcome.unwrap_err().kind(),
            io::ErrorKind::ReadOnlyFilesystem
        );
    }
    assert_eq!(disk.read(path).unwrap(), b"there");
}

#[test]
fn what_a_power_cut_has_left_is_left_by_the_next_as_well() {
    let disk = TestDisk::seeded(3);
    let path = Path::new("/d/f");
    disk.write(path, &[1; 1000], Secrecy::Open).unwrap();
    disk.sync_folder(Path::new("/d")).unwrap();
    disk.restart();
    let left = disk.read(path).unwrap();
    disk.restart();
    assert_eq!(disk.read(path).unwrap(), left);
}
