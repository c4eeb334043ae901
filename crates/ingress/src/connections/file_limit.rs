//! Limit on the open files of this process, from which the number of connections
//! follows.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Minimum number of files that are reserved for everything except clients:
/// database, broker, external services, bundle. One eighth of all files is
/// reserved if that is more.
const RESERVED_FILES: u64 = 128;
/// Maximum number of connections that one process is designed to serve.
const MAX_CONNECTIONS: u64 = 20_000;

/// Raises the soft limit of open files to the hard limit.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files can't be raised");
    }
}

/// Returns how many connections this process has files for.
pub fn max_connections() -> usize {
    max_connections_for(getrlimit(Resource::Nofile).current)
}

/// Returns the number of connections for a limit of `files` open files; `None` is
/// unlimited.
fn max_connections_for(files: Option<u64>) -> usize {
    let files = files.unwrap_or(u64::MAX);
    let others = (files / 8).max(RESERVED_FILES);
    let connections = files.saturating_sub(others).clamp(RESERVED_FILES, MAX_CONNECTIONS);
    usize::try_from(connections).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_reserved_for_other_uses() {
        assert_eq!(max_connections_for(Some(1_024)), 896);
        assert_eq!(max_connections_for(Some(16_000)), 14_000);
        assert_eq!(max_connections_for(Some(100)), 128);
        assert_eq!(max_connections_for(None), 20_000);
    }
}
