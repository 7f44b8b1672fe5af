package send

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/egress"
)

func TestClassify_AStatusDecidesWhateverBecomesOfTheBodyExceptA2xxThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	reset := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}

	for _, tc := range []struct {
		status int
		err    error
		want   attempt.Outcome
	}{
		{200, reset, attempt.OutcomeDelivered},
		{200, io.ErrUnexpectedEOF, attempt.OutcomeDelivered},
		{200, context.Canceled, attempt.OutcomeDelivered},
		{200, context.DeadlineExceeded, attempt.OutcomeTimeout},
		{204, fmt.Errorf("read: %w", os.ErrDeadlineExceeded), attempt.OutcomeTimeout},
		{302, context.DeadlineExceeded, attempt.OutcomeRedirected},
		{404, context.DeadlineExceeded, attempt.OutcomeRejected},
		{410, context.DeadlineExceeded, attempt.OutcomeGone},
		{429, reset, attempt.OutcomeThrottled},
		{500, reset, attempt.OutcomeFailed},
		{503, context.DeadlineExceeded, attempt.OutcomeThrottled},
	} {
		v := classify(tc.status, false, tc.err)
		require.Equal(t, tc.want, v.Outcome, "%d %v", tc.status, tc.err)
		if tc.want == attempt.OutcomeTimeout {
			require.Equal(t, attempt.ClassBody, v.Class)
		}
	}
}

// The rows that real servers produce are in classify_server_test.go; here are
// those that a test cannot bring about at will.
func TestClassify_EachErrorHasItsOutcomeAndClass(t *testing.T) {
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

	const (
		unreachable = attempt.OutcomeUnreachable
		proxyFailed = attempt.OutcomeProxyFailed
	)
	private := blocked(t, "10.0.0.1")
	expired := &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}
	for name, tc := range map[string]struct {
		err     error
		outcome attempt.Outcome
		class   string
	}{
		"alert of ours":       {tls.AlertError(40), unreachable, attempt.ClassTLS},
		"alert of the peer":   {&net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, unreachable, attempt.ClassTLS},
		"bad record":          {tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, unreachable, attempt.ClassTLS},
		"blocked":             {dial(private), attempt.OutcomeBlocked, attempt.ClassBlocked},
		"blocked, bare":       {fmt.Errorf("guard: %w", egress.ErrBlocked), attempt.OutcomeBlocked, attempt.ClassBlocked},
		"broken pipe":         {&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}, unreachable, attempt.ClassReset},
		"canceled":            {context.Canceled, attempt.OutcomeInterrupted, attempt.ClassCanceled},
		"canceled in a dial":  {dial(context.Canceled), attempt.OutcomeInterrupted, attempt.ClassCanceled},
		"closed by us":        {read(net.ErrClosed), unreachable, attempt.ClassClosed},
		"closed idle":         {errors.New("http: server closed idle connection"), unreachable, attempt.ClassClosed},
		"deadline":            {context.DeadlineExceeded, attempt.OutcomeTimeout, attempt.ClassTimeout},
		"expired certificate": {expired, unreachable, attempt.ClassTLS},
		"goaway":              {errors.New("http2: server sent GOAWAY and closed the connection"), unreachable, attempt.ClassClosed},
		"half an answer":      {io.ErrUnexpectedEOF, unreachable, attempt.ClassClosed},
		"local TLS error":     {errors.New("tls: server selected unsupported protocol version 301"), unreachable, attempt.ClassTLS},
		"lookup timed out":    {dial(&net.DNSError{Err: "i/o timeout", IsTimeout: true}), attempt.OutcomeTimeout, attempt.ClassDNS},
		"network unreachable": {dial(os.NewSyscallError("connect", syscall.ENETUNREACH)), unreachable, attempt.ClassConnect},
		"no route":            {dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), unreachable, attempt.ClassConnect},
		"no such host":        {dial(&net.DNSError{Err: "no such host", IsNotFound: true}), unreachable, attempt.ClassDNS},
		"nothing":             {nil, attempt.OutcomeFailed, attempt.ClassProtocol},
		"proxy":               {&url.Error{Op: "Post", Err: &egress.ProxyError{Reason: "what"}}, proxyFailed, attempt.ClassProxy},
		"proxy, for a token": {
			&credentials.TokenError{Err: &url.Error{Op: "Post", Err: &egress.ProxyError{Reason: "what"}}}, proxyFailed, attempt.ClassProxy,
		},
		"token, blocked":  {&credentials.TokenError{Err: dial(private)}, attempt.OutcomeBlocked, attempt.ClassBlocked},
		"token, canceled": {&credentials.TokenError{Err: context.Canceled}, attempt.OutcomeInterrupted, attempt.ClassCanceled},
		"token, no such host": {
			&credentials.TokenError{Err: &url.Error{Op: "Post", Err: dial(&net.DNSError{Err: "no such host"})}}, unreachable, attempt.ClassToken,
		},
		"token, timeout":       {&credentials.TokenError{Err: context.DeadlineExceeded}, attempt.OutcomeTimeout, attempt.ClassToken},
		"unbuilt":              {ErrNotBuilt, attempt.OutcomeFailed, attempt.ClassProtocol},
		"ping unanswered":      {errors.New("http2: client connection lost"), unreachable, attempt.ClassClosed},
		"reset in a dial":      {dial(os.NewSyscallError("connect", syscall.ECONNRESET)), unreachable, attempt.ClassReset},
		"reset stream":         {errors.New("stream error: stream ID 1; INTERNAL_ERROR; received from peer"), unreachable, attempt.ClassReset},
		"SYN unanswered":       {dial(os.NewSyscallError("connect", syscall.ETIMEDOUT)), attempt.OutcomeTimeout, attempt.ClassConnect},
		"unknown":              {errors.New("net/http: something new"), attempt.OutcomeFailed, attempt.ClassProtocol},
		"unknown read error":   {read(errors.New("what")), attempt.OutcomeFailed, attempt.ClassProtocol},
		"wrong name":           {x509.HostnameError{Host: "a", Certificate: &x509.Certificate{}}, unreachable, attempt.ClassTLS},
		"retransmission ended": {read(os.NewSyscallError("read", syscall.ETIMEDOUT)), attempt.OutcomeTimeout, attempt.ClassTimeout},
		"wrapped by the client": {&url.Error{
			Op:  "Post",
			URL: "https://h/?s3cret",
			Err: io.EOF,
		}, unreachable, attempt.ClassClosed},
	} {
		v := classify(0, false, tc.err)
		require.Equal(t, tc.outcome, v.Outcome, name)
		require.Equal(t, tc.class, v.Class, name)
		require.NotEmpty(t, v.Detail, name)
	}
}

func TestClassify_DetailHasNoAddressNoResolverAndNoURL(t *testing.T) {
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
		wrap(blocked(t, "10.9.8.7")),
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
		v := classify(0, false, err)
		require.NotContains(t, v.Detail, "s3cret")
		require.NotContains(t, v.Detail, "10.9.8.7")
	}
}

func TestClassify_TellsTheOperatorWhyAnAttemptWasBlocked(t *testing.T) {
	t.Parallel()
	v := classify(0, false, blocked(t, "10.9.8.7"))
	require.Equal(t, "address not allowed", v.Detail)
	require.Equal(t, "10.9.8.7 is not open: private", v.Reason)
}

func TestClassify_DetailOfThePeerIsBoundedValidText(t *testing.T) {
	t.Parallel()
	v := classify(0, false, errors.New("malformed "+strings.Repeat("é", 150)+"\xff"))
	require.LessOrEqual(t, len(v.Detail), maxDetail+len("..."))
	require.True(t, strings.HasSuffix(v.Detail, "é..."))
}

// blocked is the refusal of a private address.
func blocked(t *testing.T, addr string) error {
	t.Helper()
	policy, err := egress.New(nil)
	require.NoError(t, err)
	err = policy.CheckURL("https://" + addr + "/")
	require.ErrorIs(t, err, egress.ErrBlocked)
	return err
}
