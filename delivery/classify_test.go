package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/egress"
)

func TestEachStatusHasItsOutcome(t *testing.T) {
	t.Parallel()
	want := func(status int) Outcome {
		switch {
		case status < 200 || status > 599:
			return OutcomeFailed
		case status < 300:
			return OutcomeDelivered
		case status < 400:
			return OutcomeRedirected
		case status == 410:
			return OutcomeGone
		case status == 429 || status == 502 || status == 503 || status == 504:
			return OutcomeThrottled
		case status < 500:
			return OutcomeRejected
		default:
			return OutcomeFailed
		}
	}

	for status := 1; status <= 999; status++ {
		v := classify(status, http.Header{}, nil, classifyNow)
		require.Equal(t, want(status), v.Outcome, "%d", status)
		require.Equal(t, status, v.Status)
		require.Zero(t, v.RetryAfter)
		require.Equal(t, status < 200 || status > 599, v.ErrorClass == classProtocol, "%d", status)
	}
}

func TestRetryAfterComesWithAnyStatusAndThrottlesAFailure(t *testing.T) {
	t.Parallel()

	for status, want := range map[int]Outcome{
		200: OutcomeDelivered, 202: OutcomeDelivered, 301: OutcomeRedirected, 404: OutcomeThrottled, 410: OutcomeGone,
		413: OutcomeThrottled, 429: OutcomeThrottled, 500: OutcomeThrottled, 503: OutcomeThrottled,
	} {
		v := classify(status, retryAfterHeader("120"), nil, classifyNow)
		require.Equal(t, want, v.Outcome, "%d", status)
		require.Equal(t, 2*time.Minute, v.RetryAfter, "%d", status)
	}
	for _, value := range []string{"0", "soon", "Sun, 01 Mar 2026 11:59:59 GMT"} {
		require.Equal(t, OutcomeFailed, classify(500, retryAfterHeader(value), nil, classifyNow).Outcome, value)
	}
}

func TestAStatusDecidesWhateverBecomesOfTheBodyExceptA2xxThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	reset := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}

	for _, tc := range []struct {
		status int
		err    error
		want   Outcome
	}{
		{200, reset, OutcomeDelivered},
		{200, io.ErrUnexpectedEOF, OutcomeDelivered},
		{200, context.Canceled, OutcomeDelivered},
		{200, context.DeadlineExceeded, OutcomeTimeout},
		{204, fmt.Errorf("read: %w", os.ErrDeadlineExceeded), OutcomeTimeout},
		{302, context.DeadlineExceeded, OutcomeRedirected},
		{404, context.DeadlineExceeded, OutcomeRejected},
		{410, context.DeadlineExceeded, OutcomeGone},
		{429, reset, OutcomeThrottled},
		{500, reset, OutcomeFailed},
		{503, context.DeadlineExceeded, OutcomeThrottled},
	} {
		v := classify(tc.status, nil, tc.err, classifyNow)
		require.Equal(t, tc.want, v.Outcome, "%d %v", tc.status, tc.err)
		require.Equal(t, tc.status, v.Status)
		if tc.want == OutcomeTimeout {
			require.Equal(t, classBody, v.ErrorClass)
		}
	}
}

// The rows that real servers produce are in classify_server_test.go; here are
// those that a test cannot bring about at will.
func TestEachErrorHasItsOutcomeAndClass(t *testing.T) {
	t.Parallel()
	dial := func(err error) error {
		return &net.OpError{
			Op:  "dial",
			Net: "tcp",
			Err: err,
		}
	}
	read := func(err error) error {
		return &net.OpError{
			Op:  "read",
			Net: "tcp",
			Err: err,
		}
	}

	private := &egress.BlockedError{Rule: egress.RuleAddress, Reason: "10.0.0.1 is not open: private"}
	expired := &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}
	for name, tc := range map[string]struct {
		err     error
		outcome Outcome
		class   string
	}{
		"alert of ours":       {tls.AlertError(40), OutcomeUnreachable, classTLS},
		"alert of the peer":   {&net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, OutcomeUnreachable, classTLS},
		"bad record":          {tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, OutcomeUnreachable, classTLS},
		"blocked":             {dial(private), OutcomeBlocked, classBlocked},
		"blocked, bare":       {fmt.Errorf("guard: %w", egress.ErrBlocked), OutcomeBlocked, classBlocked},
		"broken pipe":         {&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}, OutcomeUnreachable, classReset},
		"canceled":            {context.Canceled, OutcomeInterrupted, classCanceled},
		"canceled in a dial":  {dial(context.Canceled), OutcomeInterrupted, classCanceled},
		"closed by us":        {read(net.ErrClosed), OutcomeUnreachable, classClosed},
		"closed idle":         {errors.New("http: server closed idle connection"), OutcomeUnreachable, classClosed},
		"deadline":            {context.DeadlineExceeded, OutcomeTimeout, classTimeout},
		"expired certificate": {expired, OutcomeUnreachable, classTLS},
		"goaway":              {errors.New("http2: server sent GOAWAY and closed the connection"), OutcomeUnreachable, classClosed},
		"half an answer":      {io.ErrUnexpectedEOF, OutcomeUnreachable, classClosed},
		"local TLS error":     {errors.New("tls: server selected unsupported protocol version 301"), OutcomeUnreachable, classTLS},
		"lookup timed out":    {dial(&net.DNSError{Err: "i/o timeout", IsTimeout: true}), OutcomeTimeout, classDNS},
		"network unreachable": {dial(os.NewSyscallError("connect", syscall.ENETUNREACH)), OutcomeUnreachable, classConnect},
		"no route":            {dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), OutcomeUnreachable, classConnect},
		"no such host":        {dial(&net.DNSError{Err: "no such host", IsNotFound: true}), OutcomeUnreachable, classDNS},
		"nothing":             {nil, OutcomeFailed, classProtocol},
		"proxy":               {&url.Error{Op: "Post", Err: &egress.ProxyError{Reason: "what"}}, OutcomeProxyFailed, classProxy},
		"proxy, for a token":  {&credentials.TokenError{Err: &url.Error{Op: "Post", Err: &egress.ProxyError{Reason: "what"}}}, OutcomeProxyFailed, classProxy},
		"token, blocked":      {&credentials.TokenError{Err: dial(private)}, OutcomeBlocked, classBlocked},
		"token, canceled":     {&credentials.TokenError{Err: context.Canceled}, OutcomeInterrupted, classCanceled},
		"token, no such host": {
			&credentials.TokenError{Err: &url.Error{Op: "Post", Err: dial(&net.DNSError{Err: "no such host"})}}, OutcomeUnreachable, classToken,
		},
		"token, timeout":       {&credentials.TokenError{Err: context.DeadlineExceeded}, OutcomeTimeout, classToken},
		"unbuilt":              {errNotBuilt, OutcomeFailed, classProtocol},
		"ping unanswered":      {errors.New("http2: client connection lost"), OutcomeUnreachable, classClosed},
		"reset in a dial":      {dial(os.NewSyscallError("connect", syscall.ECONNRESET)), OutcomeUnreachable, classReset},
		"reset stream":         {errors.New("stream error: stream ID 1; INTERNAL_ERROR; received from peer"), OutcomeUnreachable, classReset},
		"SYN unanswered":       {dial(os.NewSyscallError("connect", syscall.ETIMEDOUT)), OutcomeTimeout, classConnect},
		"unknown":              {errors.New("net/http: something new"), OutcomeFailed, classProtocol},
		"unknown read error":   {read(errors.New("what")), OutcomeFailed, classProtocol},
		"wrong name":           {x509.HostnameError{Host: "a", Certificate: &x509.Certificate{}}, OutcomeUnreachable, classTLS},
		"retransmission ended": {read(os.NewSyscallError("read", syscall.ETIMEDOUT)), OutcomeTimeout, classTimeout},
		"wrapped by the client": {&url.Error{
			Op:  "Post",
			URL: "https://h/?s3cret",
			Err: io.EOF,
		}, OutcomeUnreachable, classClosed},
	} {
		v := classify(0, nil, tc.err, classifyNow)
		require.Equal(t, tc.outcome, v.Outcome, name)
		require.Equal(t, tc.class, v.ErrorClass, name)
		require.Zero(t, v.Status, name)
		require.NotEmpty(t, v.Detail, name)
	}
}

func TestADetailTellsNoAddressNoResolverAndNoURL(t *testing.T) {
	t.Parallel()
	wrap := func(err error) error {
		return &url.Error{
			Op:  "Post",
			URL: "https://user:s3cret@h/?token=s3cret",
			Err: err,
		}
	}
	ends := &net.TCPAddr{IP: net.IPv4(10, 9, 8, 7), Port: 443}

	for _, err := range []error{
		wrap(errors.New("malformed HTTP response")),
		wrap(&net.OpError{
			Op:   "dial",
			Net:  "tcp",
			Addr: ends,
			Err:  os.NewSyscallError("connect", syscall.ECONNREFUSED),
		}),
		wrap(&net.OpError{
			Op:     "read",
			Net:    "tcp",
			Source: ends,
			Addr:   ends,
			Err:    errors.New("what"),
		}),
		wrap(&net.OpError{
			Op:  "dial",
			Net: "tcp",
			Err: &net.DNSError{
				Err:    "no such host",
				Name:   "h",
				Server: "10.9.8.7:53",
			},
		}),
		wrap(&egress.BlockedError{Rule: egress.RuleAddress, Reason: "10.9.8.7 is not open: private"}),
		wrap(context.DeadlineExceeded),
		wrap(&egress.ProxyError{Reason: "cannot be reached: dial tcp 10.9.8.7:3128: connection refused"}),
		&credentials.TokenError{Err: wrap(&net.OpError{
			Op:     "read",
			Net:    "tcp",
			Source: ends,
			Addr:   ends,
			Err:    errors.New("what"),
		})},
	} {
		v := classify(0, nil, err, classifyNow)
		require.NotContains(t, v.Detail, "s3cret")
		require.NotContains(t, v.Detail, "10.9.8.7")
	}
}

func TestABlockedAttemptSaysMoreToTheOperator(t *testing.T) {
	t.Parallel()
	v := classify(0, nil, &egress.BlockedError{Rule: egress.RuleAddress, Reason: "10.9.8.7 is not open: private"}, classifyNow)
	require.Equal(t, "address not allowed", v.Detail)
	require.Equal(t, "10.9.8.7 is not open: private", v.Reason)
}

func TestADetailOfThePeersMakingIsBoundedValidText(t *testing.T) {
	t.Parallel()
	v := classify(0, nil, errors.New("malformed "+strings.Repeat("é", 150)+"\xff"), classifyNow)
	require.LessOrEqual(t, len(v.Detail), maxDetail+len("..."))
	require.True(t, strings.HasSuffix(v.Detail, "é..."))
}
