//! What katrace remembers between events, in maps of its own. Nothing here sends anything.

pub mod last_users;
pub mod losses;
pub mod processes;
pub mod socket_state;
