//! A file system so small that it can be filled.

use super::tethered;
use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// Of a file system in memory, which takes only what is written to it.
const MIB: usize = 384;

/// Mounted until it is dropped, or this process ends.
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// `None` where this account may not mount: that takes root.
    pub fn mount() -> Option<Self> {
        Self::mount_of(MIB)
    }

    /// The same, of a size in MiB.
    pub fn mount_of(mib: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "meanwhile-test"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            return None;
        }
        let disk = Self { folder };
        tethered::mounted(disk.path()).unwrap();
        Some(disk)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes until there is no room.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        // The last bytes, too.
        for size in [1 << 20, 1 << 12, 1] {
            let bytes = vec![0x5a; size];
            loop {
                match file.write_all(&bytes) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("can't fill a disk: {error}"),
                }
            }
        }
    }

    /// Writes until so many bytes are left; how many are left then is told by
    /// the file system in whole pages.
    pub fn fill_but(&self, left: u64) {
        self.fill();
        let file = File::options().write(true).open(self.filler()).unwrap();
        let size = file.metadata().unwrap().len();
        file.set_len(size.saturating_sub(left)).unwrap();
    }

    /// Lets nobody write any more.
    pub fn remount_read_only(&self) {
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", "remount,ro"]).arg(self.path()).status();
        assert!(status.unwrap().success(), "can't remount {}", self.path().display());
    }

    /// Makes room again.
    pub fn free(&self) {
        let _ = std::fs::remove_file(self.filler());
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open keeps what is in it.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
        let _ = tethered::unmounted(self.path());
    }
}
