//! Deaths that no process has noticed yet.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::calls::Calls;
use crate::{
    decode::Received,
    event::{Errno, Kind, Owner, Socket, SocketEvent, State, Time},
};

/// Deaths followed at once.
const MOST: usize = 65_536;
/// Of those that ended unnoticed, how many are kept to be told.
const CLOSED: usize = 16;

/// A connection that died, and nobody asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Unnoticed {
    pub died: Time,
    pub socket: Socket,
    pub owner: Arc<Owner>,
    pub errno: Errno,
    /// Its last descriptor was closed without anyone receiving the error.
    pub closed: bool,
}

/// Follows deaths until they are noticed or their sockets are gone.
#[derive(Debug, Default)]
pub struct Deaths {
    calls: Calls,
    open: HashMap<u64, Unnoticed>,
    closed: VecDeque<Unnoticed>,
    closed_count: u64,
    /// Deaths past [`MOST`].
    unfollowed: u64,
}

impl Deaths {
    /// Takes in an event.
    pub fn event(&mut self, event: &SocketEvent) {
        let Some(errno) = event.kind.death() else {
            return;
        };
        // Where no descriptor is left, nobody is left to notice.
        let Some(inode) = event
            .socket
            .inode
            .filter(|_| !event.owner.holders.is_empty())
        else {
            return;
        };
        if self.open.len() >= MOST {
            self.unfollowed += 1;
            return;
        }
        let death = Unnoticed {
            died: event.time,
            socket: event.socket.clone(),
            owner: Arc::clone(&event.owner),
            errno,
            closed: false,
        };
        self.open.insert(inode, death);
    }

    /// A process received an error: the event of it, with the socket and its holders as they were
    /// when it died. Nothing if the death was not wanted, or not followed.
    pub fn received(&mut self, mut received: Received) -> Option<SocketEvent> {
        let death = self.open.remove(&received.inode)?;
        self.calls.name(&mut received.kind, &received.stack);
        // Where only the stack tells, the error itself was not seen: it is what the connection died of.
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

    /// How many nobody noticed, and how many of all deaths could not be followed.
    pub fn counts(&self) -> (u64, u64) {
        (self.open.len() as u64 + self.closed_count, self.unfollowed)
    }

    /// Those nobody noticed, the longest dead first; of those whose socket is gone, the latest few.
    pub fn unnoticed(&self) -> Vec<&Unnoticed> {
        let mut all: Vec<&Unnoticed> = self.open.values().chain(&self.closed).collect();
        all.sort_by_key(|death| (death.closed, death.died, death.socket.inode));
        all
    }
}
