//! Precedence of a thread over the ordinary ones.

use std::io;

use crate::Error;

/// Lowest of the real-time priorities: above every ordinary thread, below all that was given more by hand.
const PRIORITY: libc::c_int = 1;

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
