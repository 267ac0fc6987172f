//! Deaths that no process has noticed yet.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use crate::{
    cache::Cache,
    decode::Received,
    event::{Errno, Kind, Owner, Socket, SocketEvent, State, Time},
};

/// Deaths that are followed at once.
const MOST: usize = 65_536;
/// Of the deaths whose socket was closed unnoticed, this many of the latest are kept for the summary.
const CLOSED: usize = 16;
/// Where the message about the end of a socket may have been lost, its death is followed for this long at most.
const DOUBTFUL: Duration = Duration::from_secs(600);

/// A death that no process has noticed.
#[derive(Clone, Debug, PartialEq)]
pub struct Unnoticed {
    /// When the connection died.
    pub died: Time,
    /// The socket as it stood then.
    pub socket: Socket,
    /// Who held it then.
    pub owner: Arc<Owner>,
    /// What the connection died of.
    pub errno: Errno,
    /// Its last descriptor was closed without anyone receiving the error.
    pub closed: bool,
}

/// Follows deaths until a process notices them or their sockets are gone.
#[derive(Debug)]
pub struct Deaths {
    /// By inode, the oldest death first.
    open: Cache<u64, Unnoticed>,
    closed: VecDeque<Unnoticed>,
    closed_count: u64,
    /// Deaths of which it is not known whether they were noticed.
    unfollowed: u64,
    /// The last time that ends of sockets may have been lost.
    ends_lost: Option<Time>,
}

impl Default for Deaths {
    fn default() -> Self {
        Self {
            open: Cache::new(MOST),
            closed: VecDeque::new(),
            closed_count: 0,
            unfollowed: 0,
            ends_lost: None,
        }
    }
}

impl Deaths {
    /// Takes in an event.
    pub fn event(&mut self, event: &SocketEvent) {
        let Some(errno) = event.kind.death() else {
            return;
        };
        // A socket without a holder has nobody who could notice.
        let Some(inode) = event
            .socket
            .inode
            .filter(|_| !event.owner.holders.is_empty())
        else {
            return;
        };
        self.give_up_doubtful(event.time);
        let death = Unnoticed {
            died: event.time,
            socket: event.socket.clone(),
            owner: Arc::clone(&event.owner),
            errno,
            closed: false,
        };
        if self.open.insert(inode, death).is_some() {
            self.unfollowed += 1;
        }
    }

    /// A process received an error. Returns the event for it, with the socket and its holders as they were when
    /// the connection died. `None` if the death was not wanted, or is not followed.
    pub fn received(&mut self, mut received: Received) -> Option<SocketEvent> {
        let death = self.open.remove(&received.inode)?;
        // The errno is 0 where the hook sees only that the error is gone: it is the error that ended the connection.
        if let Kind::Noticed { errno, .. } = &mut received.kind
            && errno.0 == 0
        {
            *errno = death.errno;
        }
        Some(SocketEvent {
            time: received.time,
            socket: Socket {
                state: State::Close,
                ..death.socket
            },
            owner: death.owner,
            kind: received.kind,
        })
    }

    /// The ends of some sockets were lost before this moment. Deaths before it are followed for ten minutes
    /// more, and then counted as unfollowed.
    pub fn lost_ends(&mut self, now: Time) {
        self.ends_lost = Some(now);
    }

    fn give_up_doubtful(&mut self, now: Time) {
        let Some(lost) = self.ends_lost else {
            return;
        };
        if now.0 - lost.0 < DOUBTFUL.as_nanos().cast_signed() {
            return;
        }
        self.ends_lost = None;
        while self
            .open
            .oldest()
            .is_some_and(|(_, death)| death.died <= lost)
        {
            self.open.remove_oldest();
            self.unfollowed += 1;
        }
    }

    /// A socket is gone.
    pub fn ended(&mut self, inode: u64) {
        if let Some(death) = self.open.remove(&inode) {
            self.closed_count += 1;
            if self.closed.len() == CLOSED {
                self.closed.pop_front();
            }
            self.closed.push_back(Unnoticed {
                closed: true,
                ..death
            });
        }
    }

    /// How many deaths no process noticed, and for how many that is not known.
    pub fn counts(&self) -> (u64, u64) {
        (self.open.len() as u64 + self.closed_count, self.unfollowed)
    }

    /// The deaths that no process noticed, the earliest first. Those whose socket is gone come last, and only the
    /// latest of them are kept.
    pub fn unnoticed(&self) -> Vec<&Unnoticed> {
        let mut all: Vec<&Unnoticed> = self.open.values().chain(&self.closed).collect();
        all.sort_by_key(|death| (death.closed, death.died, death.socket.inode));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Holder, example};

    const SECOND: i128 = 1_000_000_000;

    fn death(inode: u64, at: i128) -> SocketEvent {
        let process = example::process(7);
        SocketEvent {
            time: Time(at),
            socket: example::socket(Some(inode)),
            owner: Arc::new(Owner {
                process: Some(process.clone()),
                holders: vec![Holder { process, fd: None }],
                from: None,
            }),
            kind: Kind::Reset {
                errno: Errno(104),
                after_probe: false,
            },
        }
    }

    #[test]
    fn a_death_whose_end_may_be_lost_goes_after_some_minutes() {
        let mut deaths = Deaths::default();
        deaths.event(&death(1, 0));
        deaths.lost_ends(Time(SECOND));
        deaths.event(&death(2, 2 * SECOND));
        assert_eq!(deaths.counts(), (2, 0));
        let later = 1 + DOUBTFUL.as_secs() as i128;
        deaths.event(&death(3, later * SECOND));
        assert_eq!(deaths.counts(), (2, 1));
        let inodes: Vec<_> = deaths.unnoticed().iter().map(|d| d.socket.inode).collect();
        assert_eq!(inodes, [Some(2), Some(3)]);
        // Without another loss the rest stays, however old.
        deaths.event(&death(4, 1_000 * later * SECOND));
        assert_eq!(deaths.counts(), (3, 1));
    }

    #[test]
    fn past_the_bound_the_latest_deaths_are_followed_and_none_goes_uncounted() {
        let mut deaths = Deaths::default();
        for inode in 0..MOST as u64 + 3 {
            deaths.event(&death(inode, i128::from(inode)));
        }
        assert_eq!(deaths.counts(), (MOST as u64, 3));
        deaths.ended(0);
        assert_eq!(deaths.counts(), (MOST as u64, 3));
        deaths.ended(MOST as u64);
        assert_eq!(deaths.counts(), (MOST as u64, 3));
        assert_eq!(deaths.open.len(), MOST - 1);
        assert!(deaths.unnoticed().iter().any(|death| death.closed));
    }
}
