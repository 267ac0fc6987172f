//! /proc/kallsyms: the address of the function whose timer is watched, and the names of functions that
//! addresses lie in.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
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

/// The functions that these addresses lie in. `None` for an address before all functions; all are
/// `None` where the kernel hides its addresses. Reads the whole file once, which takes some ten
/// milliseconds.
pub fn names_of(addresses: &[u64]) -> Vec<Option<String>> {
    match File::open(PATH) {
        Ok(file) => names_in(BufReader::with_capacity(PIECE, file), addresses),
        Err(_) => vec![None; addresses.len()],
    }
}

fn names_in(file: impl BufRead, addresses: &[u64]) -> Vec<Option<String>> {
    let mut nearest: Vec<(u64, Option<String>)> = vec![(0, None); addresses.len()];
    for line in file.split(b'\n').map_while(Result::ok) {
        let mut fields = line.split(|byte| matches!(byte, b' ' | b'\t'));
        let (Some(address), Some(_), Some(name)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let address = std::str::from_utf8(address).ok();
        let Some(start) = address.and_then(|text| u64::from_str_radix(text, 16).ok()) else {
            continue;
        };
        for (wanted, (best, found)) in addresses.iter().zip(&mut nearest) {
            if start <= *wanted && start > *best {
                *best = start;
                *found = Some(String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    nearest.into_iter().map(|(_, name)| name).collect()
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
    fn an_address_lies_in_the_function_that_begins_before_it() {
        let text = b"ffffffff82010000 T tcp_connect\n\
                     ffffffffc0000000 t nf_hook\t[nf_tables]\n\
                     ffffffff82010100 t tcp_recvmsg.cold\n\
                     cut\n";
        let names = |addresses: &[u64]| names_in(&text[..], addresses);
        assert_eq!(
            names(&[0xffff_ffff_8201_0020, 0xffff_ffff_8201_0100, 5]),
            [
                Some("tcp_connect".into()),
                Some("tcp_recvmsg.cold".into()),
                None
            ]
        );
        assert_eq!(names(&[u64::MAX]), [Some("nf_hook".into())]);
        let hidden = b"0000000000000000 T tcp_connect\n";
        assert_eq!(names_in(&hidden[..], &[7]), [None]);
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
