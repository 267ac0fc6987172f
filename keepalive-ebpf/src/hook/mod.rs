//! Where the kernel calls katrace. Each hook says which kernel function it matches, and why that one.
//!
//! A program whose name ends in `_guard` is a re-entrancy guard: a second program at the same place. The
//! kernel skips a program that is already running on the same CPU. On a preemptible kernel the task
//! inside it may have lost the CPU, and until it continues, the program is skipped for every other task
//! that comes by. The guard is another program, so it runs then. When both run, the guard repeats what
//! the first has done, so doing it twice must change nothing.

mod accept;
mod death;
mod fd_iter;
mod lifetime;
mod noticed;
mod passed;
mod process;
mod reset;
mod tcp_iter;
mod timer;
mod watch_pid;
