//! Unpacks gzip files.

use super::{MAX_BYTES, ReadError};
use flate2::bufread::MultiGzDecoder;
use std::{borrow::Cow, io::Read};

const SIGNATURE: [u8; 2] = [0x1F, 0x8B];

/// Returns the content of a gzip file, and any other file as it is.
///
/// # Errors
///
/// [`ReadError::UnpackedTooLarge`] if the content exceeds [`MAX_BYTES`], and
/// [`ReadError::DamagedGzip`] if it can't be unpacked.
pub(super) fn unpack(bytes: &[u8]) -> Result<Cow<'_, [u8]>, ReadError> {
    if !bytes.starts_with(&SIGNATURE) {
        return Ok(bytes.into());
    }
    // Room that is not used takes no memory, and what is unpacked doesn't have to move.
    let mut content = Vec::with_capacity(MAX_BYTES + 1);
    let mut decoder = MultiGzDecoder::new(bytes).take(MAX_BYTES as u64 + 1);
    let result = decoder.read_to_end(&mut content);
    if content.len() > MAX_BYTES {
        return Err(ReadError::UnpackedTooLarge);
    }
    match result {
        Ok(_) => Ok(content.into()),
        Err(error) => Err(ReadError::DamagedGzip { cause: error.to_string() }),
    }
}
