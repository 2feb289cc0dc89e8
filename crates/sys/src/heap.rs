//! The heap of this process: what of it is in use, and giving back what is not.
//!
//! The allocator is that of the GNU C library. Of another one nothing is known, and nothing is done.

/// Gives free memory inside the heap back to the kernel, in whole pages. Worth its milliseconds after
/// much was freed at once: what is left of long lists is otherwise kept for ever.
#[cfg(target_env = "gnu")]
pub fn trim_heap() {
    // SAFETY: takes a number only.
    unsafe { libc::malloc_trim(0) };
}

/// See there.
#[cfg(not(target_env = "gnu"))]
pub const fn trim_heap() {}

/// Has pieces of 128 KiB and more mapped on their own, so that they go back to the kernel once they are
/// freed. The allocator begins like that, and gives it up as soon as one such piece is freed: then the
/// pages of long lists lie between what lasts.
#[cfg(target_env = "gnu")]
pub fn map_large_pieces() {
    // SAFETY: takes numbers only.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10) };
}

/// See there.
#[cfg(not(target_env = "gnu"))]
pub const fn map_large_pieces() {}

/// Octets of the heap that are in use, with what the allocator adds to each piece; none where it does
/// not say so.
#[cfg(target_env = "gnu")]
pub fn heap_in_use() -> Option<usize> {
    // SAFETY: takes nothing and returns numbers.
    let info = unsafe { libc::mallinfo2() };
    Some(info.uordblks + info.hblkhd)
}

/// See there.
#[cfg(not(target_env = "gnu"))]
pub const fn heap_in_use() -> Option<usize> {
    None
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_in_use_and_what_is_trimmed_is_not_lost() {
        let held = vec![7_u8; 64 << 20];
        let with = heap_in_use().unwrap();
        trim_heap();
        assert!(held.iter().all(|byte| *byte == 7));
        assert!(with >= held.len(), "{with}");
    }
}
