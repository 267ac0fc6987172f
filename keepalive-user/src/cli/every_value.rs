//! One text given to every parser of a value: for the fuzz targets, which would spend their time on
//! clap otherwise.

use std::{ops::RangeInclusive, time::Duration};

use ipnet::IpNet;

use super::parse;

/// What each parser made of the text.
#[derive(Debug)]
pub struct EveryValue {
    /// `-L` and `-D`.
    pub ports: Result<RangeInclusive<u16>, String>,
    /// `-a`.
    pub net: Result<IpNet, String>,
    /// `-d` and every other time.
    pub duration: Result<Duration, String>,
    /// `-n`.
    pub count: Result<u64, String>,
    /// `-p`.
    pub pid: Result<u32, String>,
    /// `-N`.
    pub netns: Result<u32, String>,
    /// `--ring-size` in bytes, on a host with pages of 4096 bytes.
    pub ring_size: Result<u32, String>,
}

impl EveryValue {
    /// Gives the text to each of them.
    pub fn of(text: &str) -> Self {
        Self {
            ports: parse::ports(text),
            net: parse::net(text),
            duration: parse::duration(text),
            count: parse::count(text),
            pid: parse::pid(text),
            netns: parse::netns(text),
            ring_size: parse::ring_size(text, 4096),
        }
    }
}
