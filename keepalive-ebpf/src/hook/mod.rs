//! Where katrace listens to the kernel. Each hook says why it was chosen and what it matches.

mod accept;
mod death;
mod iterate;
mod lifetime;
mod reset;
mod timer;
