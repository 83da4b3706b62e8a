//! A lock for several threads, and what it guards: buffers that calls reuse, and in the core with threads the allocator.
//!
//! The locks and thread-local values of the standard library serve a single thread where that library was compiled without atomics, as it is in the
//! core with threads.

use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::ops::DerefMut;
use std::sync::atomic::{AtomicBool, Ordering};

/// A value that one thread at a time uses. Others spin until it is free, so a thread should keep it for a few instructions only.
pub struct Lock<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: a thread uses the value only while it has taken it, and then no other thread does.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    pub const fn new(value: T) -> Self {
        Self {
            taken: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits until no other thread has the value, and takes it until the result is dropped.
    pub fn take(&self) -> impl DerefMut<Target = T> + '_ {
        while self.taken.swap(true, Ordering::Acquire) {
            spin_loop();
        }
        Taken(self)
    }
}

struct Taken<'a, T>(&'a Lock<T>);

impl<T> std::ops::Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this thread has taken the value.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this thread has taken the value, and borrows it from here alone.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

/// A list of buffers that later calls reuse. It grows to as many as threads have used at the same time.
pub struct Buffers<T>(Lock<Vec<T>>);

impl<T: Default> Buffers<T> {
    /// Makes an empty list. A call that finds no free buffers makes new ones.
    pub const fn new() -> Self {
        Self(Lock::new(Vec::new()))
    }

    /// Calls `work` with buffers that no other thread has. Their values are those that the last call left.
    pub fn lend<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let spare = self.0.take().pop();
        let mut buffers = spare.unwrap_or_default();
        let result = work(&mut buffers);
        self.0.take().push(buffers);
        result
    }
}

#[cfg(target_feature = "atomics")]
mod memory {
    use std::alloc::{GlobalAlloc, Layout, System};

    use super::Lock;

    /// The allocator of the standard library, which serves one thread, behind a lock.
    struct SharedMemory(Lock<()>);

    /// wasm-bindgen reserves memory for the thread-local values of each thread, and fails where there are none.
    #[thread_local]
    #[used]
    static LOCAL: u8 = 0;

    #[global_allocator]
    static MEMORY: SharedMemory = SharedMemory(Lock::new(()));

    // SAFETY: each method does what that of the same name does, which one thread at a time calls.
    unsafe impl GlobalAlloc for SharedMemory {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let _taken = self.0.take();
            // SAFETY: the caller keeps the same promises to both.
            unsafe { System.alloc(layout) }
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            let _taken = self.0.take();
            // SAFETY: the caller keeps the same promises to both.
            unsafe { System.alloc_zeroed(layout) }
        }

        unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
            let _taken = self.0.take();
            // SAFETY: the caller keeps the same promises to both.
            unsafe { System.dealloc(address, layout) }
        }

        unsafe fn realloc(&self, address: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            let _taken = self.0.take();
            // SAFETY: the caller keeps the same promises to both.
            unsafe { System.realloc(address, layout, size) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_a_value_one_after_the_other() {
        let lock = Lock::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| *lock.take() += 1));
            }
        });
        assert_eq!(*lock.take(), 40_000);
    }

    #[test]
    fn buffers_are_lent_to_one_call_at_a_time_and_kept_for_later_ones() {
        let buffers = Buffers::<Vec<u32>>::new();
        buffers.lend(|outer| {
            outer.push(1);
            buffers.lend(|inner| assert!(inner.is_empty()));
        });
        assert_eq!(buffers.lend(|last| last.clone()), [1]);
    }
}
