package egress

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// maxProxyAnswer bounds what is read of a proxy's answer.
const maxProxyAnswer = 16 << 10

// connect opens a tunnel by CONNECT (RFC 9110, section 9.3.6).
func (p Proxy) connect(conn net.Conn, target string) error {
	req := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: target},
		Host:   target,
		Header: http.Header{"User-Agent": {""}}, // none
	}
	if p.Username != "" {
		credentials := base64.StdEncoding.EncodeToString([]byte(p.Username + ":" + p.Password))
		req.Header.Set("Proxy-Authorization", "Basic "+credentials)
	}
	if err := req.Write(conn); err != nil {
		return proxyFailed("broke off", err)
	}
	answer := bufio.NewReader(io.LimitReader(conn, maxProxyAnswer))
	// Nothing of its body is wanted: behind a 2xx the tunnel begins, and the
	// connection of any other answer is closed.
	resp, err := http.ReadResponse(answer, req) //nolint:bodyclose // as said
	if err != nil {
		return unanswered(err)
	}
	return judgeConnect(resp.StatusCode, answer.Buffered())
}

// judgeConnect sorts the answers of a proxy: what it says of itself, and what it
// says of the endpoint. Those that proxies give when an endpoint does not answer
// are 502, 503 and 504.
func judgeConnect(status, ahead int) error {
	switch {
	case status >= 200 && status <= 299 && ahead > 0:
		return proxyFailed("sent data ahead of the endpoint", nil)
	case status >= 200 && status <= 299:
		return nil
	case status == http.StatusForbidden:
		return refusedByProxy("403")
	case status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return unreachedTarget(fmt.Errorf("the egress proxy answered %d", status))
	case status == http.StatusProxyAuthRequired:
		return proxyFailed("does not accept the credentials (407)", nil)
	default:
		return proxyFailed(fmt.Sprintf("answered CONNECT by %d", status), nil)
	}
}
