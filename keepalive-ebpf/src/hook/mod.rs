//! Where katrace listens to the kernel. Each hook says why it was chosen and what it matches.

mod accept;
mod death;
mod descriptors;
mod iterate;
mod lifetime;
mod named;
mod noticed;
mod passed;
mod process;
mod reset;
mod timer;
