//! The cgroup of a socket.

use keepalive_ebpf::wire::config::CGROUP_DEPTH;

use super::{memory::read, sock::Sock};

impl Sock {
    /// Its cgroup, or one above that, has this id.
    #[inline(always)]
    pub fn in_cgroup(self, wanted: u64) -> bool {
        // Before 5.15 the low bits are flags. Bit 0 says that the rest is no pointer.
        let data = read!(self.0, sk_cgroup);
        if data & 1 != 0 {
            return false;
        }
        let mut cgroup = data & !3;
        for _ in 0..CGROUP_DEPTH {
            if cgroup == 0 {
                return false;
            }
            if read!(read!(cgroup, cgroup_kn), kn_id) == wanted {
                return true;
            }
            let parent = read!(cgroup, cgroup_parent_css);
            if parent == 0 {
                return false;
            }
            cgroup = read!(parent, css_cgroup);
        }
        false
    }
}
