package keepalive

import (
	"net"
	"syscall"
	"time"
)

// TCP_USER_TIMEOUT of linux/tcp.h, which package syscall lacks.
const tcpUserTimeout = 18

// Dialer: @ARITHMETIC@. net.ListenConfig takes the same two fields. Needs Go 1.23.
var Dialer = net.Dialer{
	KeepAliveConfig: net.KeepAliveConfig{
		Enable:   true,
		Idle:     @IDLE@ * time.Second,
		Interval: @INTVL@ * time.Second,
		Count:    @CNT@,
	},
	Control: func(_, _ string, conn syscall.RawConn) error {
		var failed error
		err := conn.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, @USER_TIMEOUT@)
		})
		if err != nil {
			return err
		}
		return failed
	},
}
