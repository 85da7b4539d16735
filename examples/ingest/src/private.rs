//! Keeps the memory of the process to itself: it holds keys and tokens.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Allows no core dump, and no other process of the same user to look into this one.
///
/// # Errors
///
/// The kernel, or a filter of system calls, refuses.
pub fn keep_memory_private() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    // Where dumps are piped to a program, only this prevents them.
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_not_dumpable() {
        use rustix::process::{DumpableBehavior, dumpable_behavior};
        keep_memory_private().expect("the kernel allows less");
        let behavior = dumpable_behavior().expect("the kernel knows");
        assert_eq!(behavior, DumpableBehavior::NotDumpable);
    }
}
