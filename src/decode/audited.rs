//! The one place with unsafe code: what a C library and the machine ask for beyond Rust's own checks.
//!
//! Two calls, each with its reason. Nothing here decides anything: callers get a length or a bool, and
//! what they do with it is checked as everywhere.
#![expect(
    unsafe_code,
    reason = "the one audited place: libdeflate, and instructions found at run time"
)]

use std::ptr::NonNull;

use libdeflate_sys::{
    libdeflate_alloc_decompressor, libdeflate_decompressor, libdeflate_free_decompressor,
    libdeflate_gzip_decompress_ex, libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE,
    libdeflate_result_LIBDEFLATE_SUCCESS,
};

/// Inflates whole gzip members, one call each.
#[derive(Debug)]
pub(super) struct Deflate(NonNull<libdeflate_decompressor>);

// SAFETY: a decompressor is plain memory that libdeflate reaches through this pointer alone; it has no
// tie to a thread. It is not `Sync`: calls change it.
unsafe impl Send for Deflate {}

/// What became of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    /// Its checksum was right: so many bytes were read and written.
    Whole {
        /// Of the input, header and trailer included.
        read: usize,
        /// To the output.
        written: usize,
    },
    /// It has more bytes than the output has room for.
    TooSmall,
    /// It is broken or cut.
    Broken,
}

impl Deflate {
    /// `None` when there is no memory for its tables, about 12 KiB.
    pub(super) fn new() -> Option<Self> {
        // SAFETY: takes nothing; returns null or a decompressor that is ours until it is freed.
        NonNull::new(unsafe { libdeflate_alloc_decompressor() }).map(Deflate)
    }

    /// Inflates the member that `input` begins with to the start of `output`.
    pub(super) fn member(&mut self, input: &[u8], output: &mut [u8]) -> Member {
        let (mut read, mut written) = (0, 0);
        // SAFETY: the decompressor lives as long as `self`, which is borrowed for this call alone. Both
        // buffers are given with their own lengths and outlive the call; the library reads the first and
        // writes the second, within these lengths. The two counters are plain integers of this frame.
        let result = unsafe {
            libdeflate_gzip_decompress_ex(
                self.0.as_ptr(),
                input.as_ptr().cast(),
                input.len(),
                output.as_mut_ptr().cast(),
                output.len(),
                &raw mut read,
                &raw mut written,
            )
        };
        if result == libdeflate_result_LIBDEFLATE_SUCCESS {
            Member::Whole { read, written }
        } else if result == libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE {
            Member::TooSmall
        } else {
            Member::Broken
        }
    }
}

impl Drop for Deflate {
    fn drop(&mut self) {
        // SAFETY: it came from `libdeflate_alloc_decompressor` and is freed once.
        unsafe { libdeflate_free_decompressor(self.0.as_ptr()) }
    }
}

/// True when the machine has all that the faster ways of [`super::find`] were compiled for.
#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    static HAS: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("popcnt")
    });
    *HAS
}

/// The machine has not all that a faster way needs.
#[derive(Debug)]
pub(super) struct NotHere;

#[cfg(target_arch = "x86_64")]
fn with_avx2<T>(run: impl FnOnce() -> T) -> Result<T, NotHere> {
    if has_avx2() { Ok(run()) } else { Err(NotHere) }
}

/// [`super::find::records`] with AVX2.
#[cfg(target_arch = "x86_64")]
pub(super) fn records_by_avx2(
    from: (&[u8], usize),
    into: &mut super::find::Records,
    pass: &mut impl FnMut(&super::find::Found) -> bool,
) -> Result<Option<usize>, NotHere> {
    // SAFETY: every feature that the function was compiled for was found on this machine.
    with_avx2(|| unsafe { super::find::records_avx2(from, into, pass) })
}

/// [`super::find::Members`] in the same way.
#[cfg(target_arch = "x86_64")]
pub(super) fn members_by_avx2(object: &[u8], marks: &mut Vec<u32>) -> Result<bool, NotHere> {
    // SAFETY: every feature that the function was compiled for was found on this machine.
    with_avx2(|| unsafe { super::find::members_avx2(object, marks) })
}

/// [`super::find::unescape`] in the same way.
#[cfg(target_arch = "x86_64")]
pub(super) fn unescape_by_avx2(
    json: &[u8],
    out: &mut [u8],
) -> Result<Option<(usize, usize)>, NotHere> {
    // SAFETY: every feature that the function was compiled for was found on this machine.
    with_avx2(|| unsafe { super::find::unescape_avx2(json, out) })
}

/// [`super::find::end_at_depth`] in the same way.
#[cfg(target_arch = "x86_64")]
pub(super) fn end_by_avx2(
    bytes: &[u8],
    from: usize,
    depth: usize,
) -> Result<super::find::End, NotHere> {
    // SAFETY: every feature that the function was compiled for was found on this machine.
    with_avx2(|| unsafe { super::find::end_avx2(bytes, from, depth) })
}
