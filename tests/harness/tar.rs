//! Tar archives, written and nothing else: layers, and the archive that `docker load` reads.
//!
//! *Invariant:* the same entries give the same bytes; times are zero and owners are root.
//!
//! Spec: POSIX.1-2017 pax, "ustar Interchange Format".

use std::io::{self, Write};

const BLOCK: usize = 512;

/// Writes an archive entry by entry.
#[derive(Debug)]
pub struct TarWriter<W: Write> {
    into: W,
}

impl<W: Write> TarWriter<W> {
    /// Starts an archive.
    pub fn new(into: W) -> Self {
        Self { into }
    }

    /// Adds a folder; the path ends with a slash.
    pub fn folder(&mut self, path: &str) -> io::Result<()> {
        self.into.write_all(&header(path, 0o755, 0, b'5')?)
    }

    /// Adds a file that is executable by everybody.
    pub fn file(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        self.into.write_all(&header(path, 0o755, content.len(), b'0')?)?;
        self.into.write_all(content)?;
        let padding = content.len().next_multiple_of(BLOCK) - content.len();
        self.into.write_all(&[0; BLOCK][..padding])
    }

    /// Ends the archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.into.write_all(&[0; 2 * BLOCK])?;
        self.into.flush()?;
        Ok(self.into)
    }
}

fn header(path: &str, mode: u32, size: usize, kind: u8) -> io::Result<[u8; BLOCK]> {
    if path.len() > 100 {
        return Err(io::Error::other("a path in a test archive has at most 100 bytes"));
    }
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, path);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, "00000000000");
    put(148, "        ");
    put(257, "ustar");
    put(263, "00");
    header[156] = kind;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    Ok(header)
}
