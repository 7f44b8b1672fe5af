package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/egress"
)

// verdict is what an attempt came to.
type verdict struct {
	Outcome Outcome

	// Status is the HTTP status, 0 when there was no valid one.
	Status int

	// ErrorClass says where an attempt without a usable answer broke off; "" when
	// the status alone decided.
	ErrorClass string

	// Detail says the same in words that may be shown to the subscription's
	// owner: no URL, no resolved address, no resolver.
	Detail string

	// Reason is for the operator alone: why the egress policy refused, with the
	// address, or what is wrong with the egress proxy; "" for everything else.
	Reason string

	// RetryAfter is how long the receiver asked us to stay away, 0 when it did
	// not. It comes with every outcome that has a status. Named says that it did,
	// also where that is no time at all.
	RetryAfter time.Duration
	Named      bool
}

// classify judges the result of one attempt: status and header of the answer (0
// and nil when none came) and the error of sending, waiting or reading the body.
//
// A status line of 2xx is the receiver's word that it has the message: a body
// that then breaks off changes nothing. A 2xx whose body does not end within the
// attempt's time is a timeout, since the timeout is for the answer as a whole.
// Any other status decides alone, whatever happened to its body.
func classify(status int, header http.Header, err error, now time.Time) verdict {
	if status == 0 {
		return classifyError(err)
	}
	wait, named := retryAfter(header, now)
	v := classifyStatus(status, wait)
	v.Named = named
	if v.Outcome == OutcomeDelivered && isTimeout(err) {
		v.Outcome = OutcomeTimeout
		v.ErrorClass = classBody
		v.Detail = "the answer's body did not end in time"
	}
	return v
}

func classifyStatus(status int, wait time.Duration) verdict {
	v := verdict{Status: status, RetryAfter: wait}
	switch {
	case status < 200 || status > 599:
		// 101 is the only 1xx that net/http hands on; we never asked to switch.
		v.Outcome = OutcomeFailed
		v.ErrorClass = classProtocol
		v.Detail = "the status is not one that ends a request"
	case status <= 299:
		v.Outcome = OutcomeDelivered
	case status <= 399:
		v.Outcome = OutcomeRedirected
	case status == http.StatusGone:
		v.Outcome = OutcomeGone
	case isThrottle(status) || wait > 0:
		v.Outcome = OutcomeThrottled
	case status <= 499:
		v.Outcome = OutcomeRejected
	default:
		v.Outcome = OutcomeFailed
	}
	return v
}

func isThrottle(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

func classifyError(err error) verdict {
	switch {
	case err == nil:
		return verdict{
			Outcome:    OutcomeFailed,
			ErrorClass: classProtocol,
			Detail:     "no answer and no error",
		}
	case errors.Is(err, egress.ErrBlocked):
		v := verdict{
			Outcome:    OutcomeBlocked,
			ErrorClass: classBlocked,
			Detail:     "address not allowed",
		}
		if blocked, ok := errors.AsType[*egress.BlockedError](err); ok {
			v.Detail, v.Reason = blocked.Owner(), blocked.Reason
		}
		return v
	case errors.Is(err, context.Canceled):
		return verdict{
			Outcome:    OutcomeInterrupted,
			ErrorClass: classCanceled,
			Detail:     "interrupted before the answer",
		}
	case errors.Is(err, egress.ErrProxy):
		return classifyProxy(err)
	case errors.Is(err, errNotBuilt):
		return verdict{
			Outcome:    OutcomeFailed,
			ErrorClass: classProtocol,
			Detail:     "the request could not be built",
		}
	}
	if failed, ok := errors.AsType[*credentials.TokenError](err); ok {
		return classifyToken(failed.Err)
	}
	if isTimeout(err) {
		return classifyTimeout(err)
	}
	return classifyFailure(err)
}

// errNotBuilt stands for the errors of a request that cannot be built, which quote
// its URL.
var errNotBuilt = errors.New("the request could not be built")

// classifyProxy judges a failure of the operator's own proxy: the endpoint has no
// part in it, and its owner is not told which proxy there is.
func classifyProxy(err error) verdict {
	v := verdict{
		Outcome:    OutcomeProxyFailed,
		ErrorClass: classProxy,
		Detail:     "the egress proxy failed",
	}
	if failed, ok := errors.AsType[*egress.ProxyError](err); ok {
		v.Reason = failed.Reason
	}
	return v
}

func classifyTimeout(err error) verdict {
	v := verdict{
		Outcome:    OutcomeTimeout,
		ErrorClass: classTimeout,
		Detail:     "no answer in time",
	}
	switch {
	case isDNS(err):
		v.ErrorClass, v.Detail = classDNS, "the name was not resolved in time"
	case isDial(err):
		v.ErrorClass, v.Detail = classConnect, "no connection in time"
	case strings.Contains(err.Error(), "TLS handshake timeout"):
		// The type of this error is not exported by net/http.
		v.ErrorClass, v.Detail = classTLS, "the TLS handshake did not end in time"
	}
	return v
}

func classifyFailure(err error) verdict {
	unreachable := func(class, detail string) verdict {
		return verdict{
			Outcome:    OutcomeUnreachable,
			ErrorClass: class,
			Detail:     detail,
		}
	}
	switch {
	case isDNS(err):
		return unreachable(classDNS, "the name cannot be resolved")
	case errors.Is(err, syscall.ECONNREFUSED):
		return unreachable(classRefused, "connection refused")
	case isTLS(err):
		return unreachable(classTLS, cause(err))
	case isReset(err):
		return unreachable(classReset, "connection reset")
	case isDial(err):
		return unreachable(classConnect, "no connection")
	case isClosed(err):
		return unreachable(classClosed, "connection closed before the answer")
	default:
		return verdict{
			Outcome:    OutcomeFailed,
			ErrorClass: classProtocol,
			Detail:     cause(err),
		}
	}
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func isDNS(err error) bool {
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// Neither the errors of HTTP/2 nor some of HTTP/1 are exported by net/http:
// isReset and isClosed know them by their text, from its start, which is never
// of the peer's making.

func isReset(err error) bool {
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED) {
		return true
	}
	text := cause(err)
	return strings.HasPrefix(text, "stream error: ") && strings.HasSuffix(text, "; received from peer")
}

func isClosed(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return true
	}
	for _, text := range []string{
		"http: server closed idle connection", "http2: server sent GOAWAY", "http2: client connection lost",
		"http2: Transport received GOAWAY", "http2: Transport received Server's graceful shutdown GOAWAY",
	} {
		if strings.HasPrefix(cause(err), text) {
			return true
		}
	}
	return false
}

func isTLS(err error) bool {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	// An alert of the peer, and what crypto/tls finds wrong by itself, have no
	// type of their own.
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return true
	}
	return strings.HasPrefix(cause(err), "tls: ")
}

// maxDetail bounds what an error of the peer's making puts into the history.
const maxDetail = 200

// cause is the text of an error without what wraps it: *url.Error quotes the
// URL with its query, *net.OpError the addresses of both ends.
func cause(err error) string {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		err = op.Err
	}
	text := strings.ToValidUTF8(err.Error(), "?")
	if len(text) > maxDetail {
		text = strings.ToValidUTF8(text[:maxDetail], "") + "..."
	}
	return text
}
