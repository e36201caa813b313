//! `strftime_now`: the C library's strftime, with what Python's datetime does otherwise.

use std::ffi::CString;
use std::mem::MaybeUninit;

use minijinja::{Error, ErrorKind};

const MAX_FORMAT: usize = 4096;

/// Formats `now` (seconds since the epoch) in local time. Python's naive datetime has no time zone: %z and %Z are
/// empty; %f is microseconds, of which `now` has none.
pub fn strftime(format: &str, now: i64) -> Result<String, Error> {
    let bad = |why: &str| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {why}"));
    if format.len() > MAX_FORMAT {
        return Err(bad("the format is longer than 4096 bytes"));
    }
    // The space keeps an empty result apart from a buffer that is too small.
    let format = CString::new(python_directives(format) + " ").map_err(|_| bad("a zero byte in the format"))?;
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    let time = now as libc::time_t;
    let mut buffer = vec![0u8; 64 * MAX_FORMAT];
    // Safety: every pointer is valid for the call, and the buffer's size is passed.
    let written = unsafe {
        if libc::localtime_r(&time, parts.as_mut_ptr()).is_null() {
            return Err(bad("the time is out of range"));
        }
        libc::strftime(buffer.as_mut_ptr().cast(), buffer.len(), format.as_ptr(), parts.as_ptr())
    };
    if written == 0 {
        return Err(bad("the result is too long"));
    }
    buffer.truncate(written - 1);
    String::from_utf8(buffer).map_err(|_| bad("the result is not UTF-8"))
}

fn python_directives(format: &str) -> String {
    let mut out = String::with_capacity(format.len());
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('f') => out.push_str("000000"),
            Some('z' | 'Z') => {}
            Some(other) => out.extend(['%', other]),
            None => out.push_str("%%"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{python_directives, strftime};

    #[test]
    fn python_differs_from_c() {
        assert_eq!(python_directives("%H:%M:%S.%f%z %d%% %"), "%H:%M:%S.000000 %d%% %%");
    }

    #[test]
    fn empty_and_long_formats() {
        assert_eq!(strftime("", 0).unwrap(), "");
        assert!(strftime(&"x".repeat(5000), 0).is_err());
        assert!(strftime("a\0b", 0).is_err());
        assert_eq!(strftime("%Y", 1_750_000_000).unwrap(), "2025");
    }
}
