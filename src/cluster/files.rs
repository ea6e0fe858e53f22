//! Lists the files of a broker that does not run. Reads only, and of contents only what tells where a log ends.
//!
//! What cannot be read is named in a sentence where it stands; the rest is listed all the same.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::ids::{BrokerId, Offset};
use crate::inspect::{
    BrokerFiles, DIRECTORIES_LISTED, DIRECTORY_FILES_LISTED, DirectoryFiles, FILES_LISTED,
    FileKind, LeftFile,
};
use crate::storage::{RealDisk, survey};

/// Everything in a broker's directory, as far as the limits go.
pub fn files_of(broker: BrokerId, dir: &Path) -> BrokerFiles {
    let mut found = BrokerFiles {
        broker,
        dir: dir.display().to_string(),
        directories: Vec::new(),
        left_out: 0,
        trouble: None,
    };
    let mut room = FILES_LISTED;
    let (own, names) = match directory(dir, String::new(), &mut room) {
        Ok(read) => read,
        Err(error) => {
            found.trouble = Some(sentence(dir, &error));
            return found;
        }
    };
    found.directories.push(own);
    let within = names.len().min(DIRECTORIES_LISTED);
    found.left_out = (names.len() - within) as u64;
    for name in names.into_iter().take(within) {
        let path = dir.join(&name);
        let directory = match directory(&path, name.clone(), &mut room) {
            Ok((directory, _)) => directory,
            Err(error) => DirectoryFiles {
                trouble: Some(sentence(Path::new(&name), &error)),
                ..empty(name.clone())
            },
        };
        found.directories.push(directory);
    }
    found
}

fn empty(name: String) -> DirectoryFiles {
    DirectoryFiles {
        name,
        bytes: 0,
        files: Vec::new(),
        left_out: 0,
        trouble: None,
    }
}

/// One directory's files, and the names of the directories in it.
fn directory(
    dir: &Path,
    name: String,
    room: &mut usize,
) -> io::Result<(DirectoryFiles, Vec<String>)> {
    let (mut names, mut directories) = (BTreeMap::new(), Vec::new());
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // The link itself is what lies here: nothing behind it is a broker's.
        match std::fs::symlink_metadata(entry.path()) {
            Ok(facts) if facts.is_dir() => directories.push(name),
            Ok(facts) => drop(names.insert(name, Ok(facts.len()))),
            Err(error) => drop(names.insert(name, Err(error))),
        }
    }
    directories.sort();
    let mut found = empty(name);
    found.bytes = names.values().flatten().sum();
    let listed = names.len().min(DIRECTORY_FILES_LISTED).min(*room);
    *room -= listed;
    found.left_out = (names.len() - listed) as u64;
    found.files = names
        .into_iter()
        .take(listed)
        .map(|(name, len)| file(name, len))
        .collect();
    ends(dir, &mut found);
    Ok((found, directories))
}

fn file(name: String, len: io::Result<u64>) -> LeftFile {
    let kind = FileKind::of(&name);
    let base = name.split('.').next().and_then(|base| base.parse().ok());
    let base = base.filter(|_| kind == FileKind::Segment).map(Offset);
    let trouble = len.as_ref().err();
    LeftFile {
        kind,
        bytes: *len.as_ref().unwrap_or(&0),
        offsets: base.map(|base| (base, None)),
        trouble: trouble.map(|error| sentence(Path::new(&name), error)),
        name,
    }
}

/// Where each segment of a log ends: at the next one's first offset, and the last where its whole batches do.
fn ends(dir: &Path, found: &mut DirectoryFiles) {
    let mut next = None;
    let all_listed = found.left_out == 0;
    let segments = found.files.iter_mut().rev();
    for file in segments.filter(|file| file.kind == FileKind::Segment) {
        let Some((base, end)) = &mut file.offsets else {
            continue;
        };
        *end = next;
        if next.is_none() && all_listed {
            match survey(&mut RealDisk::default(), dir) {
                Ok(log) => *end = Some(log.log_end),
                Err(error) => file.trouble = Some(sentence(Path::new(&file.name), &error)),
            }
        }
        next = Some(*base);
    }
}

fn sentence(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("{} is not there.", path.display()),
        io::ErrorKind::PermissionDenied => {
            format!("{} may not be read by klar's user.", path.display())
        }
        _ => format!("{} cannot be read: {error}.", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::records::BatchBuilder;

    fn segment(records: i64) -> Vec<u8> {
        let mut batch = BatchBuilder::new();
        for n in 0..records {
            batch.push(n, None, Some(b"v"), &[]);
        }
        batch.build().unwrap()
    }

    fn named<'a>(files: &'a BrokerFiles, name: &str) -> &'a DirectoryFiles {
        let mut all = files.directories.iter();
        all.find(|one| one.name == name).unwrap()
    }

    #[test]
    fn every_file_is_listed_with_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("orders-0");
        std::fs::create_dir(&log).unwrap();
        std::fs::write(dir.path().join("clean-stop"), b"12345").unwrap();
        std::fs::write(log.join("00000000000000000000.log"), segment(3)).unwrap();
        std::fs::write(log.join("00000000000000000000.index"), b"1234").unwrap();
        std::fs::write(log.join("00000000000000000003.log"), b"").unwrap();
        let files = files_of(BrokerId(2), dir.path());
        assert_eq!((files.trouble.as_ref(), files.count()), (None, 4));
        let own = named(&files, "");
        assert_eq!((own.files[0].kind, own.bytes), (FileKind::CleanStop, 5));
        let listed = &named(&files, "orders-0").files;
        let listed: Vec<_> = listed.iter().map(|f| (f.kind, f.offsets)).collect();
        assert_eq!(
            listed,
            [
                (FileKind::OffsetIndex, None),
                (FileKind::Segment, Some((Offset(0), Some(Offset(3))))),
                (FileKind::Segment, Some((Offset(3), Some(Offset(3))))),
            ]
        );
    }

    #[test]
    fn what_is_missing_or_unreadable_is_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("broker-9");
        let files = files_of(BrokerId(9), &gone);
        let said = files.trouble.unwrap();
        assert_eq!(said, format!("{} is not there.", gone.display()));
        // A segment that cannot be read: a link that leads nowhere.
        let log = dir.path().join("t-0");
        std::fs::create_dir(&log).unwrap();
        let broken = log.join("00000000000000000000.log");
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &broken).unwrap();
        std::fs::write(log.join("leader-epoch-checkpoint"), b"1").unwrap();
        let files = files_of(BrokerId(1), dir.path());
        let listed = &named(&files, "t-0").files;
        assert_eq!(listed.len(), 2, "the other one is listed all the same");
        let said = listed[0].trouble.as_deref();
        assert_eq!(said, Some("00000000000000000000.log is not there."));
        assert_eq!(listed[1].trouble, None);
    }

    #[test]
    fn a_huge_directory_is_cut_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("t-0");
        std::fs::create_dir(&log).unwrap();
        for n in 0..DIRECTORY_FILES_LISTED + 7 {
            std::fs::write(log.join(format!("file-{n:04}")), b"ab").unwrap();
        }
        let files = files_of(BrokerId(1), dir.path());
        let left = named(&files, "t-0");
        assert_eq!(left.files.len(), DIRECTORY_FILES_LISTED);
        assert_eq!(left.left_out, 7);
        assert_eq!(left.bytes, 2 * (DIRECTORY_FILES_LISTED as u64 + 7));
        assert_eq!(files.count(), DIRECTORY_FILES_LISTED as u64 + 7);
    }
}
