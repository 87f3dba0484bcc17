//! What a process has written to disks.

use std::fs;

/// Returns the octets that a process has had written to disks, those still in the page
/// cache included. From `/proc/PID/io`.
pub(crate) fn written_by(process: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
    io.lines()
        .find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
        .unwrap_or(0)
}
