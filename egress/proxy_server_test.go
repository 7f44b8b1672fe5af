package egress

import (
	"bufio"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxyServer is a real proxy on loopback that keeps what it was asked for. Names
// it resolves to loopback, as a proxy that has a resolver of its own would.
type proxyServer struct {
	address string
	scheme  string
	roots   *x509.CertPool

	mu      sync.Mutex
	targets []string
	logins  []string
}

func (s *proxyServer) note(target, login string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets = append(s.targets, target)
	s.logins = append(s.logins, login)
}

func (s *proxyServer) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.targets)
}

func (s *proxyServer) proxy() *Proxy {
	p := &Proxy{URL: s.scheme + "://" + s.address}
	if s.scheme == "https" {
		p.RootCAs = s.roots
	}
	return p
}

func (s *proxyServer) withLogin() *Proxy {
	p := s.proxy()
	p.Username, p.Password = "hooks", "s3cret"
	return p
}

// dialLocal opens what a proxy was asked for, wherever its name leads.
func dialLocal(target string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{Timeout: time.Second}).Dial("tcp", net.JoinHostPort("127.0.0.1", port))
}

func splice(a net.Conn, ahead io.Reader, b net.Conn) {
	go func() {
		_, _ = io.Copy(b, ahead)
		_ = b.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(a, b)
	_ = a.Close()
	_ = b.Close()
}

// newConnectProxy speaks CONNECT, over TLS or not, and asks for a login if there is
// one. It answers each request by status, 0 for the tunnel.
func newConnectProxy(t *testing.T, secured bool, login string, status int) *proxyServer {
	t.Helper()
	s := &proxyServer{scheme: "http"}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.note(r.Method+" "+r.Host, r.Header.Get("Proxy-Authorization"))
		r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
		user, password, _ := r.BasicAuth()
		switch {
		case login != "" && user+":"+password != login:
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		case status != 0:
			w.WriteHeader(status)
			return
		}
		target, err := dialLocal(r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
		splice(conn, buffered, target)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if secured {
		s.scheme = "https"
		server.StartTLS()
		s.roots = x509.NewCertPool()
		s.roots.AddCert(server.Certificate())
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	s.address = server.Listener.Addr().String()
	return s
}

// newSOCKSProxy speaks SOCKS5, and asks for a login if there is one. It answers
// each request by reply, 0 for the tunnel.
func newSOCKSProxy(t *testing.T, login string, reply byte) *proxyServer {
	t.Helper()
	s := &proxyServer{scheme: "socks5"}
	s.address = serve(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		methods := counted(r, readByte(r, 1))
		switch {
		case login == "":
			_, _ = conn.Write([]byte{5, 0})
		case !slices.Contains(methods, 2):
			_, _ = conn.Write([]byte{5, 0xff})
			return
		default:
			_, _ = conn.Write([]byte{5, 2})
			given := string(counted(r, readByte(r, 1))) + ":" + string(counted(r, readByte(r, 0)))
			if given != login {
				_, _ = conn.Write([]byte{1, 1})
				return
			}
			_, _ = conn.Write([]byte{1, 0})
		}
		var host string
		switch readByte(r, 3) {
		case 1:
			host = netip.AddrFrom4([4]byte(counted(r, 4))).String()
		case 3:
			host = string(counted(r, readByte(r, 0)))
		case 4:
			host = netip.AddrFrom16([16]byte(counted(r, 16))).String()
		}
		port := counted(r, 2)
		target := net.JoinHostPort(host, strconv.Itoa(int(port[0])<<8|int(port[1])))
		s.note("SOCKS "+target, login)
		if reply != 0 {
			_, _ = conn.Write([]byte{5, reply, 0, 1, 0, 0, 0, 0, 0, 0})
			return
		}
		there, err := dialLocal(target)
		if err != nil {
			_, _ = conn.Write([]byte{5, 5, 0, 3, 1, 'x', 0, 0})
			return
		}
		_, _ = conn.Write(append([]byte{5, 0, 0, 4}, make([]byte, 18)...))
		splice(conn, r, there)
	})
	return s
}

// readByte skips some bytes and returns the next.
func readByte(r io.Reader, skip int) int {
	b := counted(r, skip+1)
	return int(b[skip])
}

func counted(r io.Reader, n int) []byte {
	b := make([]byte, n)
	_, _ = io.ReadFull(r, b)
	return b
}

// serve handles each connection to a listener on loopback.
func serve(t *testing.T, handle func(conn net.Conn)) (address string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var handlers sync.WaitGroup
	t.Cleanup(handlers.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	handlers.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			handlers.Go(func() {
				handle(conn)
				_ = conn.Close()
			})
		}
	})
	return listener.Addr().String()
}
