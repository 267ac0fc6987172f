import java.io.IOException;
import java.net.Socket;
import java.net.StandardSocketOptions;
import jdk.net.ExtendedSocketOptions;

final class Keepalive {
    /** @ARITHMETIC@. Java 11. The JDK has no TCP_USER_TIMEOUT; Netty has EpollChannelOption's: @USER_TIMEOUT@. */
    static void set(Socket socket) throws IOException {
        socket.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
        socket.setOption(ExtendedSocketOptions.TCP_KEEPIDLE, @IDLE@);
        socket.setOption(ExtendedSocketOptions.TCP_KEEPINTERVAL, @INTVL@);
        socket.setOption(ExtendedSocketOptions.TCP_KEEPCOUNT, @CNT@);
    }
}
