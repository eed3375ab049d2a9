//! Names for the ways keys and values are stored, so that a file can say what it holds.

use super::Key;
use crate::checksum::checksum;
use std::fmt::{self, Write};

/// Longest name that is printed in full, in bytes.
const MAX_LEN: usize = 255;

/// The name of a stored form, as it is put together: `u64`, `str`, `(str, u64)`.
///
/// A saved map carries the names of its key and of its value and is opened only with types of the
/// same names, so a name stands for bytes and their order, not for a Rust type: `String` is `str`,
/// and a type that lowers to another has that one's name.
///
/// What was pushed is printed back by [`Display`](fmt::Display), in at most 255 bytes. A longer
/// name is cut there and ends with its length and a checksum of the whole, so that different names
/// remain different.
///
/// ```
/// use memkv::CodecName;
/// assert_eq!(CodecName::of::<(String, u64)>().to_string(), "(str, u64)");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodecName(String);

impl CodecName {
    /// An empty name.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of `K`'s stored form.
    pub fn of<K: Key>() -> Self {
        let mut name = Self::new();
        K::write_codec(&mut name);
        name
    }

    /// Appends text, or anything else that can be printed.
    ///
    /// ```
    /// use memkv::{CodecName, Key};
    /// let mut name = CodecName::new();
    /// name.push("celsius of ");
    /// i32::write_codec(&mut name);
    /// assert_eq!(name.to_string(), "celsius of i32");
    /// ```
    pub fn push(&mut self, part: impl fmt::Display) {
        // What a broken `Display` leaves out is missing from the name each time.
        let _ = write!(self.0, "{part}");
    }
}

impl fmt::Display for CodecName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name) = self;
        if name.len() <= MAX_LEN {
            return f.write_str(name);
        }
        let mark = format!("...{}:{:08x}", name.len(), checksum(name.as_bytes()));
        write!(f, "{}{mark}", &name[..name.floor_char_boundary(MAX_LEN - mark.len())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(parts: &[&str]) -> String {
        let mut name = CodecName::new();
        for part in parts {
            name.push(part);
        }
        name.to_string()
    }

    #[test]
    fn names_up_to_the_limit_are_kept_as_they_are() {
        assert_eq!(named(&[]), "");
        assert_eq!(named(&["(", "str", ")"]), "(str)");
        let longest = "x".repeat(MAX_LEN);
        assert_eq!(named(&[&longest]), longest);
    }

    #[test]
    fn longer_names_are_cut_and_stay_different() {
        let long = "é".repeat(MAX_LEN);
        let cut = named(&[&long]);
        assert!(cut.len() <= MAX_LEN && cut.starts_with("éé") && cut.contains("...510:"), "{cut}");
        assert_eq!(cut, named(&[&long[..100], &long[100..]]));
        assert_ne!(cut, named(&[&long, "é"]));
        assert_ne!(cut, named(&[&long[..508], "è"]));
        assert_ne!(named(&[&"x".repeat(MAX_LEN), "y"]), named(&[&"x".repeat(MAX_LEN), "z"]));
    }
}
