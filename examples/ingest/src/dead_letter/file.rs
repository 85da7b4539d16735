//! The file that letters are appended to, and what becomes of it when it is large.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::config;

/// Lines on disk, within a limit. Created with mode 0600.
#[derive(Debug)]
pub(super) struct LetterFile {
    path: PathBuf,
    /// Opened when the first letter comes: a run without bad input leaves no file.
    file: Option<File>,
    length: u64,
    /// Files that were put aside: bytes, and the number of the next one.
    aside: Aside,
    rotate: u64,
    max_size: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Aside {
    bytes: u64,
    next: u64,
}

impl LetterFile {
    pub(super) fn new(settings: &config::DeadLetter) -> Self {
        Self {
            path: settings.path.clone(),
            file: None,
            length: 0,
            aside: Aside::default(),
            rotate: settings.rotate.0,
            max_size: settings.max_size.0,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends lines and syncs them to disk.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or all of them together are full. None, some or all of the lines are then there.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.open()?;
        }
        let added = lines.len() as u64;
        if self.length > 0 && self.length + added > self.rotate {
            let mut aside = self.path.clone().into_os_string();
            aside.push(format!(".{}", self.aside.next));
            fs::rename(&self.path, aside)?;
            self.open()?;
        }
        if self.aside.bytes + self.length + added > self.max_size {
            // Somebody may have moved files away since; the next attempt counts anew.
            self.file = None;
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!(
                    "the dead-letter files {}* have reached `max_size` ({} bytes): replay and remove them, or raise the limit",
                    self.path.display(),
                    self.max_size
                ),
            ));
        }
        let Some(file) = self.file.as_mut() else {
            return Ok(());
        };
        if let Err(error) = file.write_all(lines).and_then(|()| file.sync_data()) {
            self.file = None;
            return Err(error);
        }
        self.length += added;
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        let linked = fs::symlink_metadata(&self.path).is_ok_and(|known| known.is_symlink());
        if linked {
            return Err(io::Error::other(format!(
                "the dead-letter file {} is a symbolic link: name the file itself",
                self.path.display()
            )));
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true).read(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.path)?;
        self.length = file.metadata()?.len();
        // A crash may have left half a line; what follows must not become a part of it.
        if self.length > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                self.length += 1;
            }
        }
        self.aside = put_aside(&self.path)?;
        self.file = Some(file);
        Ok(())
    }
}

/// The files `PATH.NUMBER` beside `path`.
fn put_aside(path: &Path) -> io::Result<Aside> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut aside = Aside { bytes: 0, next: 1 };
    for entry in fs::read_dir(folder.unwrap_or_else(|| Path::new(".")))? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        let own = path
            .file_name()
            .and_then(|own| name.strip_prefix(own.to_str()?));
        let number = own.and_then(|rest| rest.strip_prefix('.')?.parse::<u64>().ok());
        if let Some(number) = number {
            aside.bytes += entry.metadata()?.len();
            aside.next = aside.next.max(number + 1);
        }
    }
    Ok(aside)
}
