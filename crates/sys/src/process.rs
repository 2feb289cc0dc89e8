//! Figures of this process, for the `process_*` metrics every Prometheus client has.

use std::{fs, io, time::Duration};

use crate::Error;

/// What the process uses at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProcessUsage {
    /// Memory in RAM, in bytes.
    pub resident_memory: u64,
    /// Address space, in bytes.
    pub virtual_memory: u64,
    /// Processor time used so far, in user space and in the kernel.
    pub cpu: Duration,
    /// When the process started, since 1970.
    pub started: Duration,
    /// Open file descriptors.
    pub open_fds: u64,
    /// How many there may be; `None` for no limit.
    pub max_fds: Option<u64>,
}

impl ProcessUsage {
    /// Reads the figures from `/proc`.
    pub fn read() -> Result<Self, Error> {
        let stat = read_text("/proc/self/stat")?;
        let machine = read_text("/proc/stat")?;
        let stat = Stat::parse(&stat).ok_or_else(|| malformed("/proc/self/stat"))?;
        let booted = boot_time(&machine).ok_or_else(|| malformed("/proc/stat"))?;
        Ok(Self {
            resident_memory: stat.resident_pages * system_value(libc::_SC_PAGESIZE),
            virtual_memory: stat.virtual_memory,
            cpu: from_ticks(stat.cpu_ticks),
            started: booted + from_ticks(stat.started_ticks),
            open_fds: open_fds()?,
            max_fds: max_fds()?,
        })
    }
}

/// Fields of `/proc/self/stat`; the numbers in `proc_pid_stat(5)` are in brackets.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    started_ticks: u64,
    virtual_memory: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The program's name (2) may hold spaces and brackets; nothing behind it does.
        let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: number(14)? + number(15)?,
            started_ticks: number(22)?,
            virtual_memory: number(23)?,
            resident_pages: number(24)?,
        })
    }
}

fn boot_time(text: &str) -> Option<Duration> {
    let seconds = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(Duration::from_secs(seconds.trim().parse().ok()?))
}

fn open_fds() -> Result<u64, Error> {
    let path = "/proc/self/fd";
    let entries = fs::read_dir(path).map_err(Error::of("read", path))?;
    // Not the one the directory is being read with.
    Ok((entries.count() as u64).saturating_sub(1))
}

fn max_fds() -> Result<Option<u64>, Error> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one rlimit.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(Error::new("read", "limit of open files", io::Error::last_os_error()));
    }
    Ok((limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur))
}

fn from_ticks(ticks: u64) -> Duration {
    let per_second = system_value(libc::_SC_CLK_TCK).max(1);
    Duration::from_millis(ticks.saturating_mul(1000) / per_second)
}

fn system_value(name: libc::c_int) -> u64 {
    // SAFETY: takes no pointer, and any name is allowed.
    let value = unsafe { libc::sysconf(name) };
    u64::try_from(value).unwrap_or(0)
}

fn read_text(path: &'static str) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::of("read", path))
}

fn malformed(path: &'static str) -> Error {
    Error::new("read", path, io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::{fs::File, time::SystemTime};

    use super::*;

    #[test]
    fn stat_is_parsed_behind_the_name() {
        let text = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 7 3 0 0 20 0 4 0 5000 8192000 250 \
                    18446744073709551615 1 1\n";
        let expected = Stat {
            cpu_ticks: 10,
            started_ticks: 5000,
            virtual_memory: 8_192_000,
            resident_pages: 250,
        };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("42 (sh) S 1 2 3"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn figures_of_this_process_are_plausible() {
        let usage = ProcessUsage::read().unwrap();
        assert!((1 << 16..usage.virtual_memory).contains(&usage.resident_memory));
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        assert!(usage.started <= now + Duration::from_secs(2));
        assert!(now.abs_diff(usage.started) < Duration::from_hours(1), "{:?}", usage.started);
        assert!(usage.max_fds.is_none_or(|max| usage.open_fds <= max));
    }

    #[test]
    fn open_files_are_counted() {
        let before = ProcessUsage::read().unwrap().open_fds;
        let files: Vec<_> = (0..50).map(|_| File::open("/dev/null").unwrap()).collect();
        // Other tests open and close a few meanwhile.
        assert!(ProcessUsage::read().unwrap().open_fds > before + 25);
        drop(files);
    }
}
