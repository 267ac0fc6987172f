import socket


def set_keepalive(sock: socket.socket) -> None:
    """@ARITHMETIC@."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, @IDLE@)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, @INTVL@)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, @CNT@)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, @USER_TIMEOUT@)
