//! What every entry of the ABI shares: statuses, buffers that cross it, and the net that catches panics.

use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::thread;

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok = 0,
    Invalid = 1,
    Raised = 2,
    Panic = 3,
}

/// Why an entry failed: the status and the text of `error`.
pub struct Failure {
    pub status: Status,
    pub message: String,
}

pub type Outcome<T> = Result<T, Failure>;

pub fn invalid(message: impl Into<String>) -> Failure {
    Failure { status: Status::Invalid, message: message.into() }
}

/// What recurses over outside text or values gets a stack that is deep enough for all that passes the limits on its size.
const DEEP_STACK: usize = 256 << 20;

/// Runs `body` on a thread of its own, called `name`, with a deep stack.
pub fn on_deep_stack<T: Send>(name: &str, body: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name(name.to_string()).stack_size(DEEP_STACK);
        let worker = builder.spawn_scoped(scope, body).map_err(|e| invalid(format!("no thread for it: {e}")))?;
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A boxed slice that belongs to the caller.
#[repr(C)]
pub struct Buffer<T> {
    data: *mut T,
    size: usize,
}

impl<T> Buffer<T> {
    pub fn empty() -> Self {
        Buffer { data: ptr::null_mut(), size: 0 }
    }

    pub fn from_vec(items: Vec<T>) -> Self {
        if items.is_empty() {
            return Buffer::empty();
        }
        let size = items.len();
        Buffer { data: Box::into_raw(items.into_boxed_slice()).cast(), size }
    }

    /// Safety: `self` came from `from_vec` and is freed once.
    unsafe fn free(self) {
        if !self.data.is_null() {
            drop(Box::from_raw(ptr::slice_from_raw_parts_mut(self.data, self.size)));
        }
    }
}

pub type Bytes = Buffer<u8>;
pub type Ids = Buffer<i32>;

/// Safety: see `Buffer::free`.
#[no_mangle]
pub unsafe extern "C" fn tenon_bytes_free(bytes: Bytes) {
    bytes.free();
}

/// Safety: see `Buffer::free`.
#[no_mangle]
pub unsafe extern "C" fn tenon_ids_free(ids: Ids) {
    ids.free();
}

/// Safety: `data` points to `size` items, or `size` is 0.
pub unsafe fn slice<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, size)
    }
}

/// Safety: as `slice`. `what` names the text in the error.
pub unsafe fn text<'a>(data: *const u8, size: usize, what: &str) -> Outcome<&'a str> {
    std::str::from_utf8(slice(data, size))
        .map_err(|e| invalid(format!("{what} is not valid UTF-8 at byte {}", e.valid_up_to())))
}

/// Runs `body`; writes its value to `out` or `empty` there and the reason to `error`.
///
/// Safety: `out` and `error` are valid for writes.
pub unsafe fn enter<T>(out: *mut T, empty: T, error: *mut Bytes, body: impl FnOnce() -> Outcome<T>) -> Status {
    let result = catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|panic| Err(Failure { status: Status::Panic, message: panic_message(&*panic) }));
    match result {
        Ok(value) => {
            out.write(value);
            error.write(Bytes::empty());
            Status::Ok
        }
        Err(failure) => {
            out.write(empty);
            error.write(Bytes::from_vec(failure.message.into_bytes()));
            failure.status
        }
    }
}

/// Runs `body`; `fallback` where it panics.
pub fn quiet<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_string())
}
