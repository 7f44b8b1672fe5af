package delivery_test

import (
	"crypto/tls"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

// Of all hostile servers at once, several times each, an engine takes in what it
// needs to judge an answer and no more: its heap grows to about 22 MiB. Those that
// send without end send 64 MiB each time.
func TestSend_HostileServersTakeABoundedPartOfTheMemory(t *testing.T) {
	t.Parallel()
	const (
		each  = 8
		bound = 48 << 20 // of the engine's heap at its largest, garbage included
	)
	b := newBundle(t)
	n := 0
	for _, server := range deliverytest.HostileServers() {
		spec := subscription.Spec{
			Name:     server.Name,
			URL:      server.Start(t),
			Events:   []string{"user.*"},
			Operator: true,
			Schedule: "none",
			Timeout:  time.Second,
		}
		if server.HTTP2 {
			spec.TLS.RootCAs = certificateOf(t, spec.URL)
		}
		for range each {
			_, err := b.subs.Create(t.Context(), spec)
			require.NoError(t, err)
			n++
		}
	}
	engine := startChild(t, childTask{
		Role:     "engine",
		Database: b.pool.Config().ConnString(),
		EngineID: "engine",
	})
	engine.awaitStart(t)

	b.enqueue(nil)
	require.Eventually(t, func() bool { // a hundred of them for a second each
		return b.count(`SELECT count(*) FROM riverhook.attempt`) == n
	}, time.Minute, 50*time.Millisecond)

	require.Less(t, engine.end(t), bound)
	require.NoError(t, engine.cmd.Wait())
}

// certificateOf is the certificate that a server on loopback shows, in PEM.
func certificateOf(t *testing.T, url string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	require.NoError(t, err)
	defer conn.Close()
	leaf := conn.ConnectionState().PeerCertificates[0]
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))
}
