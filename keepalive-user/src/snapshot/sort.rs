//! The order of a listing.

use std::cmp::Reverse;

use super::Row;
use crate::settings::SortBy;

/// Sorts so that the row that needs attention comes first: the soonest, the longest silent, the most unanswered. Equal
/// rows keep their order.
pub fn sort(rows: &mut [Row], by: SortBy) {
    // What never comes or is not known goes last.
    let soonest = |ms: Option<u64>| ms.unwrap_or(u64::MAX);
    match by {
        SortBy::State => rows.sort_by_key(|row| row.state.name()),
        SortBy::Local => rows.sort_by_key(|row| (row.laddr, row.lport)),
        SortBy::Peer => rows.sort_by_key(|row| (row.raddr, row.rport)),
        SortBy::Pid => rows.sort_by_key(|row| {
            let process = row.owner.process.as_ref();
            process.map_or(u32::MAX, |process| process.pid)
        }),
        SortBy::Comm => rows.sort_by_cached_key(|row| {
            let process = row.owner.process.as_ref();
            (
                process.is_none(),
                process.map(|process| process.comm.clone()),
            )
        }),
        SortBy::Netns => rows.sort_by_key(|row| row.netns),
        SortBy::Idle => rows.sort_by_key(|row| soonest(row.keepidle_ms.map(|set| set.value))),
        SortBy::UserTimeout => rows.sort_by_key(|row| match row.user_timeout_ms {
            Some(set) if set.value > 0 => u64::from(set.value),
            _ => u64::MAX,
        }),
        SortBy::NextProbe => rows.sort_by_key(|row| soonest(row.next_probe_ms)),
        SortBy::DetectIdle => rows.sort_by_key(|row| soonest(row.detect_idle_ms)),
        SortBy::DetectData => rows.sort_by_key(|row| soonest(row.detect_data_ms)),
        SortBy::Unanswered => rows.sort_by_key(|row| Reverse(row.unanswered)),
        SortBy::Silence => rows.sort_by_key(|row| Reverse(row.silence_ms)),
        SortBy::Unacked => rows.sort_by_key(|row| Reverse(row.unacked_bytes)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        event::{Owner, Process},
        snapshot::raw_socket::tests::some_row,
    };

    /// The order of three rows after sorting; before it they are numbered 1, 2, 3.
    fn sorted(by: SortBy, change: impl Fn(usize, &mut Row)) -> Vec<u16> {
        let mut rows = [1, 2, 3].map(|number| {
            let mut row = some_row();
            row.lport = number as u16;
            change(number, &mut row);
            row
        });
        sort(&mut rows, by);
        rows.iter().map(|row| row.lport).collect()
    }

    #[test]
    fn the_soonest_probe_comes_first_and_none_last() {
        let next = [None, Some(9), Some(4)];
        let change = |number: usize, row: &mut Row| row.next_probe_ms = next[number - 1];
        assert_eq!(sorted(SortBy::NextProbe, change), [3, 2, 1]);
    }

    #[test]
    fn the_longest_silent_comes_first_and_none_last() {
        let silence = [None, Some(4), Some(9)];
        let change = |number: usize, row: &mut Row| row.silence_ms = silence[number - 1];
        assert_eq!(sorted(SortBy::Silence, change), [3, 2, 1]);
    }

    #[test]
    fn a_user_timeout_of_zero_is_none() {
        let timeout = [0, 9, 4];
        let change = |number: usize, row: &mut Row| {
            if let Some(set) = &mut row.user_timeout_ms {
                set.value = timeout[number - 1];
            }
        };
        assert_eq!(sorted(SortBy::UserTimeout, change), [3, 2, 1]);
    }

    #[test]
    fn names_are_sorted_and_a_socket_without_a_process_is_last() {
        let names = [None, Some("b"), Some("a")];
        let change = |number: usize, row: &mut Row| {
            let process = names[number - 1].map(|name| Process {
                pid: 1,
                comm: name.into(),
                details: None,
            });
            row.owner = Arc::new(Owner {
                process,
                ..Owner::default()
            });
        };
        assert_eq!(sorted(SortBy::Comm, change), [3, 2, 1]);
    }

    #[test]
    fn equal_rows_keep_their_order() {
        assert_eq!(sorted(SortBy::State, |_, _| {}), [1, 2, 3]);
        assert_eq!(sorted(SortBy::Unanswered, |_, _| {}), [1, 2, 3]);
    }
}
