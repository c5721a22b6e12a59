//! Finding files below a folder, within bounds, and without following anything that leads out of it.

use std::fs;
use std::path::{Path, PathBuf};

/// Deepest folder that is looked into, counted from the one that was named.
const MAX_DEPTH: usize = 16;
/// Most files that are looked at. A webhook that posts every second makes 86,400 a day.
const MAX_FILES: usize = 500_000;

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its place below the folder that was named; just its name for a file that was named itself.
    pub(crate) below: PathBuf,
    /// Length in bytes as it lies on the disk.
    pub(crate) size: u64,
}

/// Something that is left out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// What.
    pub(crate) path: PathBuf,
    /// Why, and what to do about it.
    pub(crate) why: String,
}

/// All files below `root`, in the order of their names; or `root` itself if it is a file.
pub(crate) fn walk(root: &Path, skipped: &mut Vec<Skipped>) -> Vec<Found> {
    let mut found = Vec::new();
    // What a person names may be a link: only what is found below is not followed.
    match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => folder(root, Path::new(""), 0, &mut found, skipped),
        Ok(metadata) if metadata.is_file() => {
            let below = root.file_name().map_or_else(|| root.to_owned(), PathBuf::from);
            found.push(Found { path: root.to_owned(), below, size: metadata.len() });
        }
        Ok(_) => {
            skip(skipped, root, "not a regular file: save the log to a file first, since it is read twice");
        }
        Err(error) => skip(skipped, root, &in_words(&error)),
    }
    found
}

fn folder(path: &Path, below: &Path, depth: usize, found: &mut Vec<Found>, skipped: &mut Vec<Skipped>) {
    if depth > MAX_DEPTH {
        return skip(
            skipped,
            path,
            &format!("deeper than {MAX_DEPTH} folders: name it on the command line to have it read"),
        );
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return skip(skipped, path, &in_words(&error)),
    };
    let mut entries: Vec<fs::DirEntry> = entries
        .filter_map(|entry| entry.map_err(|error| skip(skipped, path, &in_words(&error))).ok())
        .collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if found.len() >= MAX_FILES {
            return skip(skipped, path, &format!("more than {MAX_FILES} files: name the folders to read"));
        }
        let (path, below) = (entry.path(), below.join(entry.file_name()));
        // The entry's own metadata: a link is not followed.
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder(&path, &below, depth + 1, found, skipped),
            Ok(metadata) if metadata.is_file() => found.push(Found { path, below, size: metadata.len() }),
            Ok(metadata) if metadata.is_symlink() => {
                skip(skipped, &path, "a link: name its target on the command line to have it read");
            }
            Ok(_) => skip(skipped, &path, "not a regular file"),
            Err(error) => skip(skipped, &path, &in_words(&error)),
        }
    }
}

fn skip(skipped: &mut Vec<Skipped>, path: &Path, why: &str) {
    skipped.push(Skipped { path: path.to_owned(), why: why.to_owned() });
}

/// Why something could not be opened or read, with what to do about it.
pub(crate) fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied: run as a user who may read it".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_order_and_links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b.log", "a/z.log", "a/b/c.log"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        std::os::unix::fs::symlink("/", root.path().join("out")).unwrap();
        let mut skipped = Vec::new();
        let found: Vec<PathBuf> =
            walk(root.path(), &mut skipped).into_iter().map(|file| file.below).collect();
        assert_eq!(found, ["a/b/c.log", "a/z.log", "b.log"].map(PathBuf::from));
        assert_eq!(skipped.len(), 1);
        assert_eq!(skipped[0].path, root.path().join("out"));
    }

    #[test]
    fn what_is_not_there_is_said() {
        let mut skipped = Vec::new();
        assert_eq!(walk(Path::new("no/such/folder"), &mut skipped), []);
        assert_eq!(skipped[0].why, "does not exist");
    }
}
