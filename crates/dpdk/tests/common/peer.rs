// SPDX-License-Identifier: Apache-2.0
//! The other end of the wire: a packet socket, no part of DPDK.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A raw socket on one interface; does not wait.
pub struct PeerSocket {
    socket: OwnedFd,
}

impl PeerSocket {
    pub fn open(iface: &str) -> PeerSocket {
        let protocol = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: a plain system call.
        let fd = unsafe {
            libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_NONBLOCK, i32::from(protocol))
        };
        assert!(fd >= 0, "packet socket: {}", io::Error::last_os_error());
        // SAFETY: a new descriptor that nobody else knows of.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let name = CString::new(iface).expect("a name");
        // SAFETY: all members are integers.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        // SAFETY: `name` is a string.
        address.sll_ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) } as i32;
        let len = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: `address` is as long as said.
        let rc = unsafe { libc::bind(fd, (&raw const address).cast(), len) };
        assert_eq!(rc, 0, "bind to {iface}: {}", io::Error::last_os_error());
        PeerSocket { socket }
    }

    /// Sends one frame. An interface that is or was down loses it, and the socket says so once afterwards.
    pub fn send(&self, frame: &[u8]) {
        // SAFETY: the buffer is as long as said.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        let error = io::Error::last_os_error();
        let lost = sent < 0 && error.raw_os_error() == Some(libc::ENETDOWN);
        assert!(lost || sent == frame.len() as isize, "send: {error}");
    }

    /// A frame that waits and came from the wire, not from this host.
    pub fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 2048];
        // SAFETY: the buffer is as long as said.
        let got = unsafe { libc::recv(self.socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        buffer.truncate(usize::try_from(got).ok()?);
        Some(buffer)
    }
}
