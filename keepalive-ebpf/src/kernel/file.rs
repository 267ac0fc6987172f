//! From a file to its socket, and from a socket to its file: inode number and references.

use super::{
    memory::{config, field, read},
    sock::Sock,
};

/// File types of the Linux ABI.
const S_IFMT: u64 = 0o170000;
const S_IFSOCK: u64 = 0o140000;

impl Sock {
    /// The socket of a `struct file`; `None` if the file is no socket.
    #[inline(always)]
    pub fn of_file(file: u64) -> Option<Self> {
        if read!(read!(file, file_inode), inode_mode) & S_IFMT != S_IFSOCK {
            return None;
        }
        match Self::of_socket(read!(file, file_private_data)) {
            Self(0) => None,
            sock => Some(sock),
        }
    }

    /// The socket of a `struct socket`.
    #[inline(always)]
    pub fn of_socket(socket: u64) -> Self {
        Self(read!(socket, socket_sk))
    }

    /// References to its file, 0 when no file refers to the socket.
    #[inline(always)]
    pub fn refs(self) -> u32 {
        refs_of(read!(self.with_file().0, sk_socket))
    }

    /// Inode number in sockfs, 0 when no file refers to the socket.
    #[inline(always)]
    pub fn inode(self) -> u64 {
        self.with_file().own_inode()
    }

    /// The same for a socket that is known to have a file. An MPTCP subflow has none.
    #[inline(always)]
    pub fn own_inode(self) -> u64 {
        if field!(sk_ino).size != 0 {
            return read!(self.0, sk_ino);
        }
        inode_of(read!(self.0, sk_socket))
    }

    /// [`Sock::inode`] and [`Sock::refs`], with fewer reads.
    #[inline(always)]
    pub fn inode_and_refs(self) -> (u64, u32) {
        let with_file = self.with_file();
        let socket = read!(with_file.0, sk_socket);
        let inode = if field!(sk_ino).size != 0 {
            read!(with_file.0, sk_ino)
        } else {
            inode_of(socket)
        };
        (inode, refs_of(socket))
    }

    /// The socket to which a file refers: for an MPTCP subflow that of its connection. Only for a TCP
    /// socket, because in any other the first field would be something else.
    #[inline(always)]
    fn with_file(self) -> Self {
        if read!(self.0, tcp_is_mptcp) == 0 {
            return self;
        }
        match read!(read!(self.0, icsk_ulp_data), subflow_conn) {
            0 => self,
            connection => Self(connection),
        }
    }
}

/// Inode number of a `struct socket`. The `struct socket_alloc` around it holds the inode.
#[inline(always)]
fn inode_of(socket: u64) -> u64 {
    if socket == 0 {
        return 0;
    }
    read!(
        socket - u64::from(field!(socket_in_alloc).offset),
        alloc_ino
    )
}

/// References to the file of a `struct socket`.
#[inline(always)]
fn refs_of(socket: u64) -> u32 {
    if socket == 0 {
        return 0;
    }
    let file = read!(socket, socket_file);
    if file == 0 {
        return 0;
    }
    match read!(file, file_refs) as i64 {
        // Since 6.13 the count is below zero once the last reference is dropped.
        dead if dead < 0 => 0,
        refs => (refs as u32).wrapping_add(config!(file_refs_bias)),
    }
}
