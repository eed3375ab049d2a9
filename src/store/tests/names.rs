//! Names that stores may not have, and names that a file claims for its types.

use super::super::format::reseal;
use super::*;
use std::io::ErrorKind;

#[test]
fn a_store_cannot_have_the_name_of_a_lock() {
    let folder = folder();
    let path = saved(10, &folder);
    let attached = Map::open(&path).expect("a store");
    for name in ["map.lock", "map.LOCK", "other.lock"] {
        let path = folder.path().join(name);
        let refused = map(5).save_to(&path).expect_err("a lock has that name, or could have");
        let kind = ErrorKind::InvalidInput;
        assert!(matches!(refused, Error::Io { action: "lock", kind: k, .. } if k == kind));
        assert_eq!(names_in(&folder), ["map", "map.lock"]);
    }
    assert!(matches!(Map::open(&path), Err(Error::Locked { .. })), "the lock is the same file");
    drop(attached);
    // One that came there by other means can be read.
    let moved = folder.path().join("copy.lock");
    fs::rename(&path, &moved).expect("a working disk");
    assert!(matches!(Map::open(&moved), Err(Error::Io { kind: ErrorKind::InvalidInput, .. })));
    assert_eq!(Map::open_read_only(&moved).map(|map| map.len()), Ok(10));
}

#[test]
fn a_map_is_not_saved_to_the_path_of_a_folder() {
    let folder = folder();
    let there = folder.path().join("there");
    fs::create_dir(&there).expect("a working disk");
    for name in ["there", "there/", "new/", "new/.", "there/new/", ".."] {
        let mut path = folder.path().as_os_str().to_owned();
        path.push("/");
        path.push(name);
        let refused = map(5).save_to(Path::new(&path));
        assert!(matches!(refused, Err(Error::Io { .. })), "{name}: {refused:?}");
        assert_eq!(names_in(&folder), ["there"]);
    }
}

#[test]
fn names_of_types_are_fit_for_a_terminal() {
    let folder = folder();
    let path = saved(10, &folder);
    let mut file = fs::read(&path).expect("the store");
    let header = Header::decode(&file).expect("a sound header");
    let names = TypeNames { key: "\u{1b}[2J\n".into(), value: "bytes".into() };
    file[..HEADER_LEN].copy_from_slice(&Header { names, ..header }.encode());
    reseal(&mut file);
    fs::write(&path, &file).expect("a working disk");
    let error = Map::open(&path).expect_err("other keys");
    let Error::TypeMismatch { stored, .. } = &error else { panic!("{error}") };
    assert_eq!(stored, "\\u{1b}[2J\\n to bytes");
    assert!(!error.to_string().contains(char::is_control));
}
