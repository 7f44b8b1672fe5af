package deliverytest_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/deliverytest"
)

func TestHostileServers_EachSaysWhatItDoesAndWhatMustComeOfIt(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, server := range deliverytest.HostileServers() {
		require.NotEmpty(t, server.Name)
		require.False(t, seen[server.Name], server.Name)
		seen[server.Name] = true
		require.NotEmpty(t, server.Outcome, server.Name)
		require.Equal(t, server.HTTP2, strings.HasPrefix(server.Name, "HTTP/2: "), server.Name)
	}
}

func TestHostileServers_EachEndsWithItsTest(t *testing.T) {
	t.Parallel()
	for _, server := range deliverytest.HostileServers() {
		t.Run(server.Name, func(t *testing.T) {
			t.Parallel()
			var tb fakeTB
			url := server.Start(&tb)
			require.Empty(t, tb.errors)
			scheme, address, _ := strings.Cut(url, "://")
			require.Equal(t, server.HTTP2, scheme == "https")
			conn, err := net.Dial("tcp", address)
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
			require.NoError(t, err)

			for _, end := range tb.cleanups { // waits until nothing of it runs
				end()
			}

			_, err = net.Dial("tcp", address)
			require.Error(t, err)
			_, err = io.Copy(io.Discard, conn)
			require.NotErrorIs(t, err, net.ErrClosed, "the connection ends from the other side: %v", err)
		})
	}
}
