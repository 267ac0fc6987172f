//! A process that ends with its value.

use std::{path::Path, process::Child};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::time::{deadline, wait_until};

pub enum Process {
    Ours(Child),
    /// A child of one of ours.
    Copy(u32),
}

impl Process {
    pub fn pid(&self) -> u32 {
        match self {
            Self::Ours(child) => child.id(),
            Self::Copy(pid) => *pid,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // These fail only when the process has already ended.
        match self {
            Self::Ours(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Self::Copy(pid) => {
                let _ = kill(Pid::from_raw(*pid as i32), Signal::SIGKILL);
                // Its parent leaves the clearing up to the kernel; init does it for a lost parent.
                let entry = format!("/proc/{pid}");
                wait_until(deadline(2), || !Path::new(&entry).exists());
            }
        }
    }
}
