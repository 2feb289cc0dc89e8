//! Precedence of a thread over the ordinary ones.

use std::io;
use std::mem;

use crate::Error;

/// Lowest of the real-time priorities: above every ordinary thread, below all that was given more by hand.
const PRIORITY: libc::c_int = 1;

/// The shortest slice of time a thread may ask for (Linux 6.12), in nanoseconds.
const SLICE: u64 = 100_000;

/// Makes the calling thread a real-time one (`SCHED_FIFO`), not so those it starts. Needs `CAP_SYS_NICE` or a
/// limit on real-time priority above zero; without, [`Error::is_permission_denied`] and nothing changes.
pub fn become_realtime() -> Result<(), Error> {
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the parameters live during the call; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    if result == 0 {
        Ok(())
    } else {
        Err(Error::new("raise priority of", "thread", io::Error::last_os_error()))
    }
}

/// Makes the calling thread as punctual as an ordinary one can be, which takes no privilege: its timers are not put off
/// to be taken together with others, and whenever it wakes it goes before all whose slice of time is longer. Kernels
/// before 6.12 know nothing of the latter and change nothing.
pub fn become_punctual() -> Result<(), Error> {
    let failed = || Error::new("make punctual", "thread", io::Error::last_os_error());
    // SAFETY: takes a number only.
    if unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) } != 0 {
        return Err(failed());
    }
    // SAFETY: a structure of numbers, for which zeros are values.
    let mut attributes: libc::sched_attr = unsafe { mem::zeroed() };
    let pointer = &raw mut attributes;
    let size = mem::size_of::<libc::sched_attr>();
    // SAFETY: the kernel writes `size` octets at most, which the structure has; 0 is the calling thread.
    if unsafe { libc::syscall(libc::SYS_sched_getattr, 0, pointer, size, 0) } != 0 {
        return Err(failed());
    }
    attributes.sched_runtime = SLICE;
    // SAFETY: the structure says how long it is and lives during the call; 0 is the calling thread.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } != 0 {
        return Err(failed());
    }
    Ok(())
}
