package egress

import (
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRace_SilentAddressOfAResolverDoesNotTakeTheWholeTimeout(t *testing.T) {
	t.Parallel()
	server, hits := countingServer(t)
	port := portOf(t, server)
	full := fullBacklog(t, port)
	cfg := local("127.0.0.0/8")
	cfg.Resolver = resolveTo(full, "127.0.0.1")
	status, err := post(t, newClient(t, cfg), "http://hooks.example.com:"+port+"/")
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, status)
	require.EqualValues(t, 1, hits.Load())
}

// fullBacklog returns a loopback address at which nothing answers on the port:
// its queue of connections is full, and Linux drops what comes then.
func fullBacklog(t *testing.T, port string) string {
	t.Helper()
	const address = "127.0.0.77"
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	number, err := net.DefaultResolver.LookupPort(t.Context(), "tcp", port)
	require.NoError(t, err)
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Port: number, Addr: [4]byte{127, 0, 0, 77}}))
	require.NoError(t, syscall.Listen(fd, 0))
	for i := 0; ; i++ {
		require.Less(t, i, 10, "the queue does not fill")
		dialer := net.Dialer{Timeout: 300 * time.Millisecond}
		conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(address, port))
		if err != nil {
			break
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	return address
}
