//! Keys of variable length: text and byte strings.
//!
//! In last position the bytes are the key. In leading position each 00 becomes 00 FF and 00 00
//! ends the string: the terminator is smaller than whatever a longer string has in its place, so
//! the order stays that of the plain strings, and no encoded string starts another.

use super::{CodecName, Key, KeyBuf, KeyError, KeyForm, KeyPosition};

const ESCAPE: u8 = 0x00;
const ESCAPED_NUL: [u8; 2] = [ESCAPE, 0xff];
const TERMINATOR: [u8; 2] = [ESCAPE, 0x00];

const UTF8_RULE: &str = "a String key is UTF-8";

/// Appends a byte string for its position.
fn encode_bytes(bytes: &[u8], position: KeyPosition, out: &mut KeyBuf) {
    match position {
        KeyPosition::Last => out.extend_from_slice(bytes),
        KeyPosition::Leading => {
            let mut runs = bytes.split(|&byte| byte == ESCAPE);
            out.extend_from_slice(runs.next().unwrap_or_default());
            for run in runs {
                out.extend_from_slice(&ESCAPED_NUL);
                out.extend_from_slice(run);
            }
            out.extend_from_slice(&TERMINATOR);
        }
    }
}

/// Reads an escaped and terminated byte string; gives the bytes behind its terminator too.
fn decode_terminated(mut bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), KeyError> {
    let mut decoded = Vec::new();
    loop {
        let run = bytes.iter().position(|&byte| byte == ESCAPE);
        let run = run.ok_or(KeyError::new("a leading string ends with 00 00"))?;
        let (plain, special) = bytes.split_at(run);
        decoded.extend_from_slice(plain);
        let (mark, rest) =
            special.split_first_chunk().ok_or(KeyError::new("a leading string ends with 00 00"))?;
        bytes = rest;
        match *mark {
            TERMINATOR => return Ok((decoded, rest)),
            ESCAPED_NUL => decoded.push(0),
            _ => return Err(KeyError::new("in a leading string 00 FF or 00 00 follows")),
        }
    }
}

/// Forms of a variable-length key, all of which can be seen as plain bytes.
macro_rules! byte_string_form {
    ($($key:ty: $form:ty $([const $n:ident])?;)+) => {$(
        impl $(<const $n: usize>)? KeyForm<$key> for $form {
            #[inline]
            fn encode(&self, position: KeyPosition, out: &mut KeyBuf) {
                encode_bytes(self.as_ref(), position, out);
            }

            #[inline]
            fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
                f(self.as_ref())
            }
        }
    )+};
}

byte_string_form! {
    String: String;
    String: str;
    Vec<u8>: Vec<u8>;
    Vec<u8>: [u8];
    Vec<u8>: [u8; N] [const N];
}

impl Key for String {
    fn write_codec(out: &mut CodecName) {
        out.push("str");
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        match str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(KeyError::new(UTF8_RULE)),
        }
    }

    fn decode_into(&mut self, bytes: &[u8]) -> Result<(), KeyError> {
        let text = str::from_utf8(bytes).map_err(|_| KeyError::new(UTF8_RULE))?;
        self.clear();
        self.push_str(text);
        Ok(())
    }

    fn decode_leading(bytes: &[u8]) -> Result<(Self, &[u8]), KeyError> {
        let (decoded, rest) = decode_terminated(bytes)?;
        match Self::from_utf8(decoded) {
            Ok(text) => Ok((text, rest)),
            Err(_) => Err(KeyError::new(UTF8_RULE)),
        }
    }
}

/// Bytes of keys that are copied without a look at how many there are.
const SHORT: usize = 32;

impl Key for Vec<u8> {
    fn write_codec(out: &mut CodecName) {
        out.push("bytes");
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        Ok(bytes.to_vec())
    }

    #[inline]
    fn decode_into(&mut self, bytes: &[u8]) -> Result<(), KeyError> {
        self.clear();
        self.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn decode_start_into(&mut self, bytes: &[u8], len: usize) -> Result<(), KeyError> {
        // A copy of a short key's length is a guess at that length; one of a fixed length is none, and a third
        // of what a walk over short keys takes is spared. SCRATCHPAD.md section 3.14.
        if len <= SHORT
            && let Some(chunk) = bytes.first_chunk::<SHORT>()
        {
            self.clear();
            self.extend_from_slice(chunk);
            self.truncate(len);
            return Ok(());
        }
        self.decode_into(bytes.get(..len).unwrap_or(bytes))
    }

    fn decode_leading(bytes: &[u8]) -> Result<(Self, &[u8]), KeyError> {
        decode_terminated(bytes)
    }
}
