// SPDX-License-Identifier: Apache-2.0
//! Large tables on huge pages, as in the daemon; its allocator is behind libdpdk, which this crate does without.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;

/// The system's allocator, but for large blocks: those come from the kernel, zeroed, on huge pages where it has any.
struct Huge;

#[global_allocator]
static ALLOCATOR: Huge = Huge;

/// Bytes of a huge page, and twice that what counts as large.
const PAGE: usize = 2 << 20;

/// Bytes of a large block in whole pages; `None` for small ones.
fn large(layout: Layout) -> Option<usize> {
    if layout.size() < 2 * PAGE || layout.align() > PAGE {
        None
    } else {
        Some(layout.size().next_multiple_of(PAGE))
    }
}

/// `len` zeroed bytes, a multiple of [`PAGE`], at an address that is one too; null when there are none.
fn map(len: usize) -> *mut u8 {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new anonymous mapping, at an address of the kernel's choice, touches nobody's memory.
    let start = unsafe { libc::mmap(ptr::null_mut(), len + PAGE, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return ptr::null_mut();
    }
    let start: *mut u8 = start.cast();
    let before = start.align_offset(PAGE);
    let block = start.wrapping_add(before);
    // SAFETY: the block and what is before and behind it are parts of the mapping made above, which nobody else has; the two
    // outer parts are whole small pages. Advice changes no contents, and a refusal costs speed only.
    unsafe {
        if before > 0 {
            libc::munmap(start.cast(), before);
        }
        if before < PAGE {
            libc::munmap(block.wrapping_add(len).cast(), PAGE - before);
        }
        libc::madvise(block.cast(), len, libc::MADV_HUGEPAGE);
    }
    block
}

// SAFETY: small blocks are the system allocator's from beginning to end; large ones are mappings of their own, at least as long and
// as aligned as asked for, zeroed, and unmapped with the length they were mapped with, which follows from the layout alone.
unsafe impl GlobalAlloc for Huge {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match large(layout) {
            Some(len) => map(len),
            // SAFETY: the caller's promises are passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match large(layout) {
            Some(len) => map(len),
            // SAFETY: the caller's promises are passed on.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        match large(layout) {
            Some(len) => {
                // SAFETY: `map` made exactly this block, and the caller gives it up.
                unsafe { libc::munmap(ptr.cast(), len) };
            }
            // SAFETY: the caller's promises are passed on.
            None => unsafe { System.dealloc(ptr, layout) },
        }
    }
}
