// SPDX-License-Identifier: Apache-2.0
//! Memory of the process itself: large blocks on huge pages.
//!
//! Connection tables are read at random places; on pages of 4 KiB nearly every read first waits for the address to be translated.
//! This is beside DPDK's own huge pages and needs none set aside: the kernel gives what it has.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;

/// The system's allocator, but for large blocks: those come from the kernel, zeroed, on huge pages where it has any.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: dpdk::HugePages = dpdk::HugePages;
///
/// let table = vec![7u64; 1 << 20];
/// assert_eq!(table.as_ptr() as usize % (2 << 20), 0);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HugePages;

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
unsafe impl GlobalAlloc for HugePages {
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

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size, rounded up to the alignment, does not overflow.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if large(layout).is_none() && large(new).is_none() {
            // SAFETY: the block is the system allocator's, and the caller's promises are passed on.
            return unsafe { System.realloc(old, layout, new_size) };
        }
        // SAFETY: the new layout is valid, and its size is not zero, as the caller promises.
        let block = unsafe { self.alloc(new) };
        if !block.is_null() {
            // SAFETY: both blocks have at least the smaller size, and a new block overlaps no other.
            unsafe { ptr::copy_nonoverlapping(old, block, layout.size().min(new_size)) };
            // SAFETY: the old block is of this allocator and layout, and the caller gives it up.
            unsafe { self.dealloc(old, layout) };
        }
        block
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

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 64).expect("64 is a power of two")
    }

    #[test]
    fn large_blocks_are_zeroed_aligned_and_can_be_given_back() {
        for size in [2 * PAGE, 2 * PAGE + 1, 5 * PAGE] {
            // SAFETY: the size is not zero; the block is given back below with the same layout.
            let block = unsafe { HugePages.alloc_zeroed(layout(size)) };
            assert!(!block.is_null());
            assert_eq!(block as usize % PAGE, 0);
            // SAFETY: the block has `size` bytes, zeroed, and nobody else has it.
            let bytes = unsafe { std::slice::from_raw_parts_mut(block, size) };
            assert!(bytes.iter().all(|&byte| byte == 0));
            bytes.fill(7);
            // SAFETY: it came from this allocator with this layout.
            unsafe { HugePages.dealloc(block, layout(size)) };
        }
    }

    #[test]
    fn blocks_grow_and_shrink_across_the_boundary_and_keep_their_contents() {
        let small: Vec<u8> = (0..100).collect();
        // SAFETY: the size is not zero.
        let mut block = unsafe { HugePages.alloc(layout(100)) };
        // SAFETY: the block has 100 bytes.
        unsafe { ptr::copy_nonoverlapping(small.as_ptr(), block, 100) };
        for (old, new) in [(100, 3 * PAGE), (3 * PAGE, 4 * PAGE), (4 * PAGE, 100)] {
            // SAFETY: the block is of this allocator and of the old layout; the new size is not zero.
            block = unsafe { HugePages.realloc(block, layout(old), new) };
            // SAFETY: the block has at least 100 bytes.
            assert_eq!(unsafe { std::slice::from_raw_parts(block, 100) }, small);
        }
        // SAFETY: it came from this allocator, 100 bytes at last.
        unsafe { HugePages.dealloc(block, layout(100)) };
    }
}
