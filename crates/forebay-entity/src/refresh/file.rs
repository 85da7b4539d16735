//! The snapshot file: written whole or not at all, readable by its owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Index, Part, decode_parts, encode_parts};

/// Reads the parts of a saved snapshot; none when there is no file yet.
pub(super) async fn load(path: PathBuf) -> io::Result<Vec<Part>> {
    let read = move || match fs::read(&path) {
        Ok(text) => {
            decode_parts(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    tokio::task::spawn_blocking(read).await?
}

/// Writes beside the file, then takes its place, so that a crash leaves the old file or the new one.
///
/// A caller that drops the future does not stop the write: it runs to its end on a blocking thread.
pub(super) async fn save(path: PathBuf, index: Arc<Index>) -> io::Result<()> {
    tokio::task::spawn_blocking(move || write(&path, &index)).await?
}

fn write(path: &Path, index: &Index) -> io::Result<()> {
    let text = encode_parts(index).map_err(io::Error::other)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    // A left-over of a crash may have any mode; a new file gets ours.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_replaced_whole_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("entities.json");
        fs::write(directory.path().join("entities.json.new"), "left over").unwrap();
        write(&path, &Index::empty()).unwrap();
        write(&path, &Index::empty()).unwrap();
        assert!(decode_parts(&fs::read(&path).unwrap()).unwrap().is_empty());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }
}
