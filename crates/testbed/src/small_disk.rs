//! A file system that is small enough to be filled.

use super::managed_process;
use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// Size of the file system, which is in memory and uses only as much as is written to it.
const DEFAULT_SIZE_MIB: usize = 384;

/// A small file system, mounted until it is dropped or this process ends.
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts a file system of 384 MiB. Returns `None` if this account may not mount: that
    /// requires root.
    pub fn mount() -> Option<Self> {
        Self::mount_with_size(DEFAULT_SIZE_MIB)
    }

    /// Mounts a file system of `mib` MiB, like [`SmallDisk::mount`].
    pub fn mount_with_size(mib: usize) -> Option<Self> {
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
        managed_process::register_mount(disk.path()).unwrap();
        Some(disk)
    }

    /// Returns the folder in which it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills the file system completely.
    pub fn fill(&self) {
        let mut file = File::create(self.filler_path()).unwrap();
        // Ever smaller blocks fill the last bytes, too.
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

    /// Fills the file system except for `free_bytes`, which it counts in whole
    /// pages.
    pub fn fill_except(&self, free_bytes: u64) {
        self.fill();
        let file = File::options().write(true).open(self.filler_path()).unwrap();
        let size = file.metadata().unwrap().len();
        file.set_len(size.saturating_sub(free_bytes)).unwrap();
    }

    /// Makes the file system read-only.
    pub fn remount_read_only(&self) {
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", "remount,ro"]).arg(self.path()).status();
        assert!(status.unwrap().success(), "can't remount {}", self.path().display());
    }

    /// Frees the space that [`SmallDisk::fill`] has filled.
    pub fn remove_filler(&self) {
        let _ = std::fs::remove_file(self.filler_path());
    }

    fn filler_path(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: processes with open files can still use them.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
        let _ = managed_process::unregister_mount(self.path());
    }
}
