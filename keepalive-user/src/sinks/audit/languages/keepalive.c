#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* @ARITHMETIC@. Returns 0, or -1 with errno set. */
int set_keepalive(int fd)
{
	const struct { int level, name, value; } options[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, @IDLE@ },
		{ IPPROTO_TCP, TCP_KEEPINTVL, @INTVL@ },
		{ IPPROTO_TCP, TCP_KEEPCNT, @CNT@ },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, @USER_TIMEOUT@ },
	};

	for (unsigned int i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (setsockopt(fd, options[i].level, options[i].name,
			       &options[i].value, sizeof(int)) != 0)
			return -1;
	return 0;
}
