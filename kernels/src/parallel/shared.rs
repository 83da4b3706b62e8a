//! The parts of a result, which threads write at the same time, and the threads that take them.

use std::marker::PhantomData;
use std::ops::Range;

#[cfg(any(test, target_feature = "atomics"))]
pub use pool::Pool;

/// The threads of a build that has but one.
#[cfg(not(any(test, target_feature = "atomics")))]
pub enum Pool {}

#[cfg(not(any(test, target_feature = "atomics")))]
impl Pool {
    fn run(&self, _: usize, _: &(dyn Fn(usize) + Sync)) {
        match *self {}
    }
}

/// A part of a matrix: some neighbouring columns of some neighbouring rows. No other tile has any of its values.
pub struct Tile<'a> {
    first: *mut f32,
    part: usize,
    rows: Range<usize>,
    column: usize,
    columns: usize,
    /// The distance between the first values of two rows.
    stride: usize,
    matrix: PhantomData<&'a mut [f32]>,
}

impl Tile<'_> {
    /// The index of the part of the rows.
    pub fn part(&self) -> usize {
        self.part
    }

    /// The rows of the matrix that it has.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// The index of its columns among the tiles of the same rows.
    pub fn column(&self) -> usize {
        self.column
    }

    /// One of its rows, of which the first is 0.
    #[inline]
    pub fn row(&mut self, index: usize) -> &mut [f32] {
        assert!(index < self.rows.len());
        // SAFETY: the row is inside of the matrix, as `tiles` has checked, and this tile alone has it, which the result borrows.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(index * self.stride), self.columns) }
    }

    /// All of its values. It must have whole rows.
    pub fn whole(&mut self) -> &mut [f32] {
        assert_eq!(self.columns, self.stride);
        // SAFETY: rows of all columns follow one another in the matrix, and this tile alone has these, which the result borrows.
        unsafe { std::slice::from_raw_parts_mut(self.first, self.rows.len() * self.columns) }
    }
}

/// The address of the first value of a matrix that threads fill.
struct Matrix(*mut f32);

// SAFETY: threads use the address only for values that no other thread has.
unsafe impl Sync for Matrix {}

impl Matrix {
    /// A method, so that closures take the whole struct with its `Sync`.
    fn first(&self) -> *mut f32 {
        self.0
    }
}

/// Calls `work` for each tile of `y`, on the threads of `pool` if there is one. Tiles have the rows between neighbouring `bounds` and
/// `columns` columns.
pub fn tiles(
    pool: Option<&Pool>,
    y: &mut [f32],
    width: usize,
    bounds: &[usize],
    columns: usize,
    work: impl Fn(Tile<'_>) + Sync,
) {
    if columns == 0 {
        return;
    }
    assert!(width.is_multiple_of(columns) && bounds.is_sorted());
    assert!(bounds.last().is_none_or(|rows| rows * width <= y.len()));
    let across = width / columns;
    let matrix = Matrix(y.as_mut_ptr());
    let count = bounds.len().saturating_sub(1) * across;
    let each = |index: usize| {
        let (part, column) = (index / across, index % across);
        let rows = bounds[part]..bounds[part + 1];
        // SAFETY: the bounds are inside of the matrix, and columns too.
        let first = unsafe { matrix.first().add(rows.start * width + column * columns) };
        work(Tile {
            first,
            part,
            rows,
            column,
            columns,
            stride: width,
            matrix: PhantomData,
        });
    };
    match pool {
        // It calls with each index once.
        Some(pool) => pool.run(count, &each),
        None => (0..count).for_each(each),
    }
}

#[cfg(any(test, target_feature = "atomics"))]
mod pool {
    use std::cell::UnsafeCell;
    use std::hint::spin_loop;
    use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};

    /// The bit of `state` that is set while no thread may begin to take parts.
    const CLOSED: u32 = 1 << 31;

    /// The bit of `state` that is set while the caller sleeps until the last thread has left.
    const AWAITED: u32 = 1 << 30;

    /// The number of times that a thread looks at a value which another one is about to change before it goes to sleep, so that helpers are still awake for
    /// the next product of a layer.
    const LOOKS: u32 = 100_000;

    /// Parts of a call, and threads that take them until none is left.
    pub struct Pool {
        /// The number of threads that share work, the caller's too.
        threads: AtomicUsize,
        /// Whether there is work that has not ended.
        busy: AtomicBool,
        /// Grows by one with each piece of work; helpers sleep on it.
        epoch: AtomicU32,
        /// The number of helpers that sleep, or are about to.
        sleepers: AtomicU32,
        /// The number of helpers that take parts, and the two bits.
        state: AtomicU32,
        /// The next part.
        next: AtomicUsize,
        /// The number of parts that helpers have computed.
        helped: AtomicU32,
        work: UnsafeCell<Work>,
    }

    #[derive(Clone, Copy)]
    struct Work {
        part: *const (dyn Fn(usize) + Sync),
        count: usize,
    }

    // SAFETY: `work` is written only while it is closed and no helper takes parts, and read only by helpers that take parts.
    unsafe impl Sync for Pool {}

    impl Pool {
        pub const fn new() -> Self {
            Self {
                threads: AtomicUsize::new(1),
                busy: AtomicBool::new(false),
                epoch: AtomicU32::new(0),
                sleepers: AtomicU32::new(0),
                state: AtomicU32::new(CLOSED),
                next: AtomicUsize::new(0),
                helped: AtomicU32::new(0),
                work: UnsafeCell::new(Work {
                    part: &|_| {},
                    count: 0,
                }),
            }
        }

        pub fn threads(&self) -> usize {
            self.threads.load(SeqCst)
        }

        pub fn set_threads(&self, count: usize) {
            self.threads.store(count.max(1), SeqCst);
        }

        pub fn helped(&self) -> u32 {
            self.helped.load(SeqCst)
        }

        /// Calls `part` with each number below `count`, once, on all threads. Parts that share work themselves do it alone.
        pub fn run(&self, count: usize, part: &(dyn Fn(usize) + Sync)) {
            if count < 2 || self.threads() < 2 || self.busy.swap(true, SeqCst) {
                return (0..count).for_each(part);
            }
            // SAFETY: the lifetime is forgotten. Helpers read `work` only until `Ending` has waited for the last of them, at the end of this call.
            let part: &'static (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(part) };
            // SAFETY: it is closed and no helper takes parts: the end of the last call waited for that.
            unsafe { *self.work.get() = Work { part, count } };
            let ending = Ending(self);
            self.next.store(0, SeqCst);
            self.state.store(0, SeqCst);
            self.epoch.fetch_add(1, SeqCst);
            if self.sleepers.load(SeqCst) > 0 {
                notify(&self.epoch);
            }
            self.take(part, count);
            drop(ending);
        }

        /// Takes parts of whatever is shared, for ever.
        pub fn help(&self) {
            loop {
                let seen = self.epoch.load(SeqCst);
                if self.join() {
                    let leaving = Leaving(self);
                    // SAFETY: a helper that has joined takes parts until it leaves, and `work` does not change before that.
                    let (part, count) = unsafe {
                        let Work { part, count } = *self.work.get();
                        (&*part, count)
                    };
                    let taken = self.take(part, count);
                    self.helped.fetch_add(taken, SeqCst);
                    drop(leaving);
                }
                if !changes(&self.epoch, seen) {
                    self.sleepers.fetch_add(1, SeqCst);
                    wait(&self.epoch, seen);
                    self.sleepers.fetch_sub(1, SeqCst);
                }
            }
        }

        /// Takes parts until none is left, and returns how many it took.
        fn take(&self, part: &dyn Fn(usize), count: usize) -> u32 {
            let mut taken = 0;
            loop {
                let index = self.next.fetch_add(1, SeqCst);
                if index >= count {
                    return taken;
                }
                part(index);
                taken += 1;
            }
        }

        /// Counts a helper among those that take parts, unless there are enough of them or no parts.
        fn join(&self) -> bool {
            let most = self.threads() as u32 - 1;
            self.state
                .fetch_update(SeqCst, SeqCst, |state| (state < most).then(|| state + 1))
                .is_ok()
        }
    }

    /// Ends a piece of work when it is dropped: waits until no helper takes parts of it.
    struct Ending<'a>(&'a Pool);

    impl Drop for Ending<'_> {
        fn drop(&mut self) {
            let Pool { state, busy, .. } = self.0;
            let mut seen = state.fetch_or(CLOSED, SeqCst) | CLOSED;
            while seen != CLOSED {
                if !changes(state, seen) {
                    seen = state.fetch_or(AWAITED, SeqCst) | AWAITED;
                    if seen != CLOSED | AWAITED {
                        wait(state, seen);
                    }
                    state.fetch_and(!AWAITED, SeqCst);
                }
                seen = state.load(SeqCst);
            }
            busy.store(false, SeqCst);
        }
    }

    /// Counts a helper no more when it is dropped.
    struct Leaving<'a>(&'a Pool);

    impl Drop for Leaving<'_> {
        fn drop(&mut self) {
            let state = &self.0.state;
            if state.fetch_sub(1, SeqCst) == CLOSED | AWAITED | 1 {
                notify(state);
            }
        }
    }

    /// Looks for a while whether a value is another than `seen`.
    fn changes(value: &AtomicU32, seen: u32) -> bool {
        for _ in 0..LOOKS {
            if value.load(SeqCst) != seen {
                return true;
            }
            spin_loop();
        }
        false
    }

    /// Sleeps until another thread notifies, if the value is the one that was `seen`.
    fn wait(value: &AtomicU32, seen: u32) {
        #[cfg(target_feature = "atomics")]
        // SAFETY: the address is that of an aligned number, which lives as long as the reference.
        unsafe {
            std::arch::wasm32::memory_atomic_wait32(value.as_ptr().cast(), seen as i32, -1);
        }
        #[cfg(not(target_feature = "atomics"))]
        if value.load(SeqCst) == seen {
            std::thread::yield_now();
        }
    }

    /// Wakes all threads that sleep on a value.
    fn notify(value: &AtomicU32) {
        #[cfg(target_feature = "atomics")]
        // SAFETY: the address is that of an aligned number, which lives as long as the reference.
        unsafe {
            std::arch::wasm32::memory_atomic_notify(value.as_ptr().cast(), u32::MAX);
        }
        #[cfg(not(target_feature = "atomics"))]
        let _ = value;
    }
}
