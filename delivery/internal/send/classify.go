package send

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

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/egress"
)

// classify says what an attempt came to: by the status of the answer (0 if none came),
// which names a wait or does not, and the error of sending, waiting or reading the body.
//
// A status of 2xx is the receiver's word that it has the message: a body that then breaks
// off changes nothing. A 2xx whose body does not end within the attempt's time is a timeout,
// since the timeout is for the answer as a whole. Any other status decides alone, whatever
// happened to its body.
func classify(status int, waits bool, err error) attempt.Verdict {
	if status == 0 {
		return classifyError(err)
	}
	v := attempt.Classify(status, waits)
	if v.Outcome == attempt.OutcomeDelivered && isTimeout(err) {
		v.Outcome = attempt.OutcomeTimeout
		v.Class = attempt.ClassBody
		v.Detail = "the answer's body did not end in time"
	}
	return v
}

// classifyError is what an attempt comes to whose request, or whose answer, ended in an
// error before there was a status.
func classifyError(err error) attempt.Verdict {
	switch {
	case err == nil:
		return attempt.Verdict{
			Outcome: attempt.OutcomeFailed,
			Class:   attempt.ClassProtocol,
			Detail:  "no answer and no error",
		}
	case errors.Is(err, egress.ErrBlocked):
		v := attempt.Verdict{
			Outcome: attempt.OutcomeBlocked,
			Class:   attempt.ClassBlocked,
			Detail:  "address not allowed",
		}
		if blocked, ok := errors.AsType[*egress.BlockedError](err); ok {
			v.Detail, v.Reason = blocked.Owner(), blocked.Reason
		}
		return v
	case errors.Is(err, context.Canceled):
		return attempt.Verdict{
			Outcome: attempt.OutcomeInterrupted,
			Class:   attempt.ClassCanceled,
			Detail:  "interrupted before the answer",
		}
	case errors.Is(err, egress.ErrProxy):
		return classifyProxy(err)
	case errors.Is(err, ErrNotBuilt):
		return attempt.Verdict{
			Outcome: attempt.OutcomeFailed,
			Class:   attempt.ClassProtocol,
			Detail:  "the request could not be built",
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

// ErrNotBuilt stands for the errors of a request that cannot be built, which quote
// its URL.
var ErrNotBuilt = errors.New("the request could not be built")

// classifyProxy is for a failure of the operator's own proxy: the endpoint has no part in
// it, and its owner does not learn which proxy there is.
func classifyProxy(err error) attempt.Verdict {
	v := attempt.Verdict{
		Outcome: attempt.OutcomeProxyFailed,
		Class:   attempt.ClassProxy,
		Detail:  "the egress proxy failed",
	}
	if failed, ok := errors.AsType[*egress.ProxyError](err); ok {
		v.Reason = failed.Reason
	}
	return v
}

func classifyTimeout(err error) attempt.Verdict {
	v := attempt.Verdict{
		Outcome: attempt.OutcomeTimeout,
		Class:   attempt.ClassTimeout,
		Detail:  "no answer in time",
	}
	switch {
	case isDNS(err):
		v.Class, v.Detail = attempt.ClassDNS, "the name was not resolved in time"
	case isDial(err):
		v.Class, v.Detail = attempt.ClassConnect, "no connection in time"
	case strings.Contains(err.Error(), "TLS handshake timeout"):
		// The type of this error is not exported by net/http.
		v.Class, v.Detail = attempt.ClassTLS, "the TLS handshake did not end in time"
	}
	return v
}

func classifyFailure(err error) attempt.Verdict {
	unreachable := func(class, detail string) attempt.Verdict {
		return attempt.Verdict{
			Outcome: attempt.OutcomeUnreachable,
			Class:   class,
			Detail:  detail,
		}
	}
	switch {
	case isDNS(err):
		return unreachable(attempt.ClassDNS, "the name cannot be resolved")
	case errors.Is(err, syscall.ECONNREFUSED):
		return unreachable(attempt.ClassRefused, "connection refused")
	case isTLS(err):
		return unreachable(attempt.ClassTLS, cause(err))
	case isReset(err):
		return unreachable(attempt.ClassReset, "connection reset")
	case isDial(err):
		return unreachable(attempt.ClassConnect, "no connection")
	case isClosed(err):
		return unreachable(attempt.ClassClosed, "connection closed before the answer")
	default:
		return attempt.Verdict{
			Outcome: attempt.OutcomeFailed,
			Class:   attempt.ClassProtocol,
			Detail:  cause(err),
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
