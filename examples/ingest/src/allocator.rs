//! Has the allocator of glibc give back what a backlog took (docs/decisions/0032).

use std::io;

/// Starts this process anew, under the same id, with glibc's settings in its environment: glibc reads them before `main`.
/// Returns if one of them is there already, an operator's own included, and where there is no glibc.
///
/// # Errors
///
/// The binary cannot be found or started again. The process goes on and keeps more memory after an outage.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn give_memory_back() -> io::Result<()> {
    use std::{env, os::unix::process::CommandExt, process::Command};

    if SETTINGS.iter().any(|(name, _)| env::var_os(name).is_some()) {
        return Ok(());
    }
    let mut command = Command::new(env::current_exe()?);
    let mut arguments = env::args_os();
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    Err(command.args(arguments).envs(SETTINGS).exec())
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_memory_back() -> io::Result<()> {
    Ok(())
}

/// In bytes. Larger buffers come from the kernel one by one and go back when they are freed. Without this glibc raises the limit to
/// the largest buffer that was ever freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SETTINGS: [(&str, &str); 2] = [
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "1048576"),
];
