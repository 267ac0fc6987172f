//! The address of one kernel function, for the tracepoint that fires for every timer.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
};

use super::error::HostError;

const PATH: &str = "/proc/kallsyms";
const FUNCTION: &[u8] = b"tcp_keepalive_timer";

/// Where `tcp_keepalive_timer` is.
pub fn keepalive_timer() -> Result<u64, HostError> {
    let file = File::open(PATH).map_err(HostError::Kallsyms)?;
    find(BufReader::with_capacity(1 << 16, file))
        .map_err(HostError::Kallsyms)?
        // A kernel that hides its addresses shows zeros.
        .filter(|address| *address != 0)
        .ok_or(HostError::NoAddress)
}

/// Lines are `ffffffff8202df70 t tcp_keepalive_timer`, with `\t[module]` behind a module's.
fn find(mut lines: impl BufRead) -> io::Result<Option<u64>> {
    let mut line = Vec::with_capacity(128);
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.trim_ascii_end().splitn(3, |byte| *byte == b' ');
        let (address, _, name) = (words.next(), words.next(), words.next());
        if name == Some(FUNCTION) {
            return Ok(address
                .and_then(|address| std::str::from_utf8(address).ok())
                .and_then(|address| u64::from_str_radix(address, 16).ok()));
        }
    }
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
    }
}
