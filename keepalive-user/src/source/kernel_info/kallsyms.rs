//! /proc/kallsyms: the address of the function whose timer is watched, and where the code of other functions
//! is.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    ops::Range,
    thread::{self, JoinHandle},
};

use memchr::memmem;

use crate::source::error::HostError;

const PATH: &str = "/proc/kallsyms";
/// With the blank before it and the end of its line, so that no longer name matches.
const FUNCTION: &[u8] = b" tcp_keepalive_timer\n";
/// Bytes to ask for at once. The kernel gives a page or so.
const PIECE: usize = 1 << 16;

/// The search for `tcp_keepalive_timer`, on a thread of its own, since the kernel formats some two
/// hundred thousand lines for it.
pub struct Search(JoinHandle<io::Result<Option<u64>>>);

impl Search {
    /// Starts the search.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or no thread be started.
    pub fn start() -> Result<Self, HostError> {
        let file = File::open(PATH).map_err(HostError::Kallsyms)?;
        thread::Builder::new()
            .name("katrace-syms".into())
            .spawn(|| find(file))
            .map(Self)
            .map_err(HostError::Kallsyms)
    }

    /// Waits for the address.
    ///
    /// # Errors
    ///
    /// The file cannot be read, has no such function, or hides its address.
    pub fn finish(self) -> Result<u64, HostError> {
        self.0
            .join()
            .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
            .map_err(HostError::Kallsyms)?
            // The kernel shows zeros to those who may not see addresses.
            .filter(|address| *address != 0)
            .ok_or(HostError::NoAddress)
    }
}

/// Lines are `ffffffff8202df70 t tcp_keepalive_timer`, with `\t[module]` behind a module's.
///
/// The text is searched in large pieces: splitting two hundred thousand lines takes longer.
fn find(mut file: impl Read) -> io::Result<Option<u64>> {
    let wanted = memmem::Finder::new(FUNCTION);
    let mut buffer = vec![0; PIECE];
    let mut kept = 0;
    loop {
        let read = file.read(&mut buffer[kept..])?;
        if read == 0 {
            return Ok(None);
        }
        let text = &buffer[..kept + read];
        if let Some(address) = wanted
            .find_iter(text)
            .find_map(|at| address_before(text, at))
        {
            return Ok(Some(address));
        }
        // Keeps the last line, whose rest is still to be read.
        let rest = memchr::memrchr(b'\n', text).unwrap_or(0);
        kept = text.len() - rest;
        buffer.copy_within(rest..rest + kept, 0);
        if kept == buffer.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// Where the code of functions is: an address range and the number of its function in `functions`, sorted by
/// address. A function that the compiler has split has a range for each part. Nothing where the kernel hides
/// its addresses.
///
/// Reads the whole file, which takes some ten milliseconds, and much longer on an emulated machine.
pub fn ranges_of(functions: &[&str]) -> Vec<(Range<u64>, usize)> {
    match File::open(PATH) {
        Ok(file) => ranges_in(BufReader::with_capacity(PIECE, file), functions),
        Err(_) => Vec::new(),
    }
}

fn ranges_in(mut file: impl BufRead, functions: &[&str]) -> Vec<(Range<u64>, usize)> {
    let mut starts = Vec::new();
    let mut found = Vec::new();
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        if let Some((start, name)) = symbol(&line) {
            starts.push(start);
            // Compilers split functions into parts and add a suffix to their names.
            let whole = name.split(|byte| *byte == b'.').next().unwrap_or(name);
            if let Some(at) = functions.iter().position(|it| it.as_bytes() == whole) {
                found.push((start, at));
            }
        }
        line.clear();
    }
    starts.sort_unstable();
    found.sort_unstable();
    found
        .into_iter()
        .map(|(start, at)| {
            let next = starts.partition_point(|other| *other <= start);
            let end = starts.get(next).copied().unwrap_or(u64::MAX);
            (start..end, at)
        })
        .collect()
}

/// Address and name of a line. The kernel shows the address 0 to those who may not see addresses.
fn symbol(line: &[u8]) -> Option<(u64, &[u8])> {
    let mut fields = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\n'));
    let (address, _, name) = (fields.next()?, fields.next()?, fields.next()?);
    let address = u64::from_str_radix(std::str::from_utf8(address).ok()?, 16).ok()?;
    (address != 0).then_some((address, name))
}

/// The address at the start of the line whose name begins at `at`.
fn address_before(text: &[u8], at: usize) -> Option<u64> {
    let line = memchr::memrchr(b'\n', &text[..at]).map_or(0, |end| end + 1);
    let address = text[line..at].split(|byte| *byte == b' ').next()?;
    u64::from_str_radix(std::str::from_utf8(address).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_function_and_not_its_namesakes() {
        let text = b"ffffffff82010000 T tcp_keepalive_timer_x\n\
                     ffffffff8202df70 t tcp_keepalive_timer\n";
        assert_eq!(find(&text[..]).unwrap(), Some(0xffff_ffff_8202_df70));
        assert_eq!(
            find(&b"ffffffff82010000 T tcp_connect\n"[..]).unwrap(),
            None
        );
        assert_eq!(find(&b"\n \n x"[..]).unwrap(), None);
        assert_eq!(find(&b" tcp_keepalive_timer\n"[..]).unwrap(), None);
    }

    #[test]
    fn a_function_ends_where_the_next_symbol_begins() {
        let text = b"ffffffff82010100 T tcp_recvmsg\n\
                     ffffffffc0000000 t nf_hook\t[nf_tables]\n\
                     ffffffff82010000 T tcp_connect\n\
                     ffffffff82020000 t tcp_recvmsg.cold\n\
                     ffffffff82010180 t tcp_recvmsg_locked\n\
                     cut\n";
        let functions = ["nf_hook", "tcp_recvmsg", "tcp_sendmsg"];
        assert_eq!(
            ranges_in(&text[..], &functions),
            [
                (0xffff_ffff_8201_0100..0xffff_ffff_8201_0180, 1),
                (0xffff_ffff_8202_0000..0xffff_ffff_c000_0000, 1),
                (0xffff_ffff_c000_0000..u64::MAX, 0),
            ]
        );
        let hidden = b"0000000000000000 T tcp_recvmsg\n";
        assert_eq!(ranges_in(&hidden[..], &functions), []);
        assert_eq!(ranges_in(&b"\n \xff t tcp_recvmsg\n"[..], &functions), []);
    }

    #[test]
    fn a_line_cut_between_two_reads_is_whole_again() {
        let text = b"ffffffff82010000 T tcp_connect\nffffffff8202df70 t tcp_keepalive_timer\n";
        for cut in 0..text.len() {
            let pieces = text[..cut].chain(&text[cut..]);
            assert_eq!(
                find(pieces).unwrap(),
                Some(0xffff_ffff_8202_df70),
                "cut at {cut}"
            );
        }
        assert!(find(io::repeat(b'x')).is_err());
    }
}
