package dialecttest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
)

// broken is Standard with parts replaced.
type broken struct {
	name     func() string
	envelope func(ev dialect.Event, data []byte) (dialect.Message, error)
	request  func(msg dialect.Message, to dialect.Destination, at dialect.Attempt) (dialect.Request, error)
}

func (b broken) Name() string {
	if b.name != nil {
		return b.name()
	}
	return "broken"
}

func (b broken) Envelope(ev dialect.Event, data []byte) (dialect.Message, error) {
	if b.envelope != nil {
		return b.envelope(ev, data)
	}
	return dialect.Standard().Envelope(ev, data)
}

func (b broken) Request(msg dialect.Message, to dialect.Destination, at dialect.Attempt) (dialect.Request, error) {
	if b.request != nil {
		return b.request(msg, to, at)
	}
	return dialect.Standard().Request(msg, to, at)
}

type verifierFunc func(h http.Header, body []byte, secrets []dialect.Secret, now time.Time) error

func (f verifierFunc) Verify(h http.Header, body []byte, secrets []dialect.Secret, now time.Time) error {
	return f(h, body, secrets, now)
}

type (
	destined = dialect.Destination
	message  = dialect.Message
	request  = dialect.Request
	tried    = dialect.Attempt
)

var errBroken = errors.New("broken")

func standard() Case {
	return Case{
		Dialect:       broken{},
		Secrets:       secrets(),
		Tolerance:     5 * time.Minute,
		Verifier:      dialect.StandardVerifier(nil),
		SignedHeaders: []string{"webhook-id", "webhook-timestamp", "webhook-signature"},
	}
}

// after changes what Standard's Request returns.
func after(change func(req *dialect.Request, msg dialect.Message, to dialect.Destination, at dialect.Attempt)) broken {
	return broken{request: func(msg dialect.Message, to dialect.Destination, at dialect.Attempt) (dialect.Request, error) {
		req, err := dialect.Standard().Request(msg, to, at)
		if err == nil {
			change(&req, msg, to, at)
		}
		return req, err
	}}
}

func verifier(verify func(h http.Header, body []byte, secrets []dialect.Secret, now time.Time) error) Case {
	c := standard()
	c.Verifier = verifierFunc(verify)
	return c
}

func of(d dialect.Dialect) Case {
	c := standard()
	c.Dialect = d
	return c
}

func TestRun_FindsBrokenDialects(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	verify := dialect.StandardVerifier(nil).Verify
	counted := func(s string) string { return fmt.Sprint(s, calls.Add(1)) }
	failing := broken{envelope: func(dialect.Event, []byte) (dialect.Message, error) { return dialect.Message{}, errBroken }}
	unbuildable := broken{request: func(dialect.Message, dialect.Destination, dialect.Attempt) (dialect.Request, error) {
		return dialect.Request{}, errBroken
	}}

	for name, tc := range map[string]struct {
		c     Case
		check func(Case) error
		want  string
	}{
		"a bad name":                  {of(broken{name: func() string { return "A B" }}), checkName, "must be 1 to 64"},
		"a changing name":             {of(broken{name: func() string { return counted("n") }}), checkName, "and then"},
		"a failing envelope":          {of(failing), checkEnvelope, "Envelope: broken"},
		"a failing envelope, request": {of(failing), checkRequest, "Envelope: broken"},
		"a failing envelope, stored":  {of(failing), checkStored, "Envelope: broken"},
		"a failing envelope, headers": {of(failing), checkHeaders, "Envelope: broken"},
		"a failing request":           {of(unbuildable), checkRequest, "Request: broken"},
		"a failing request, stored":   {of(unbuildable), checkStored, "attempt 1: broken"},
		"a failing request, leak":     {of(unbuildable), checkLeak, "Request: broken"},
		"a failing request, signed":   {of(unbuildable), checkCase, "Request: broken"},
		"an envelope with state": {of(broken{envelope: func(ev dialect.Event, data []byte) (dialect.Message, error) {
			msg, err := dialect.Standard().Envelope(ev, data)
			msg.ContentType = counted("x/")
			return msg, err
		}}), checkEnvelope, "the same input gave another dialect.Message"},
		"an envelope that modifies its data": {of(broken{envelope: func(ev dialect.Event, data []byte) (dialect.Message, error) {
			msg, err := dialect.Standard().Envelope(ev, data)
			data[0] = '['
			return msg, err
		}}), checkEnvelope, "modified"},
		"an envelope with another id": {of(broken{envelope: func(ev dialect.Event, data []byte) (dialect.Message, error) {
			ev.ID = "other"
			return dialect.Standard().Envelope(ev, data)
		}}), checkEnvelope, "not that of the event"},
		"a request with state": {of(after(func(req *dialect.Request, _ dialect.Message, _ dialect.Destination, _ dialect.Attempt) {
			req.Header.Set("X-Count", counted(""))
		})), checkRequest, "the same input gave another dialect.Request"},
		"a request that modifies its message": {of(after(func(_ *dialect.Request, msg dialect.Message, _ dialect.Destination, _ dialect.Attempt) {
			msg.Headers["X-New"] = "1"
		})), checkRequest, "modified"},
		"another body": {of(after(func(req *dialect.Request, _ dialect.Message, _ dialect.Destination, _ dialect.Attempt) {
			req.Body = append(slices.Clone(req.Body), '\n')
		})), checkRequest, "not that of the message"},
		"another body, stored": {of(after(func(req *dialect.Request, _ dialect.Message, _ dialect.Destination, _ dialect.Attempt) {
			req.Body = append(slices.Clone(req.Body), '\n')
		})), checkStored, "attempt 1: another body"},
		"another URL": {of(after(func(req *dialect.Request, _ dialect.Message, _ dialect.Destination, _ dialect.Attempt) {
			req.URL = "https://example.org"
		})), checkRequest, "want a method"},
		"a header map that is shared": {of(func() dialect.Dialect {
			shared := http.Header{}
			return broken{request: func(msg dialect.Message, to dialect.Destination, _ dialect.Attempt) (dialect.Request, error) {
				return dialect.Request{
					Method: "POST",
					URL:    to.URL,
					Header: shared,
					Body:   msg.Body,
				}, nil
			}}
		}()), checkRequest, "another dialect.Request"},
		"a signature of another time": {of(after(func(req *dialect.Request, _ dialect.Message, _ dialect.Destination, at dialect.Attempt) {
			if at.Number > 1 {
				req.Header.Set("Webhook-Timestamp", "1")
			}
		})), checkStored, "attempt 2 does not verify"},
		"the destination's headers left out": {of(after(func(req *dialect.Request, _ dialect.Message, _ dialect.Destination, _ dialect.Attempt) {
			req.Header.Del("X-Dialecttest")
		})), checkHeaders, "not in the request"},
		"the destination's headers first": {of(after(func(req *dialect.Request, _ dialect.Message, to dialect.Destination, _ dialect.Attempt) {
			for name, value := range to.Headers {
				req.Header.Set(name, value)
			}
		})), checkHeaders, "replaced the dialect's"},
		"a smuggled line": {of(broken{request: func(msg message, to destined, at tried) (request, error) {
			headers := to.Headers
			to.Headers = nil
			req, err := dialect.Standard().Request(msg, to, at)
			for name, value := range headers {
				req.Header[name] = []string{value}
			}
			return req, err
		}}), checkSmuggling, "went into the request"},
		"a leaked secret": {of(after(func(req *dialect.Request, _ dialect.Message, to dialect.Destination, _ dialect.Attempt) {
			req.Header.Set("X-Debug", to.Secrets[0].Reveal())
		})), checkLeak, "secret 1 is in the request"},

		"a verifier that minds case": {verifier(func(h http.Header, body []byte, s []dialect.Secret, now time.Time) error {
			if h["Webhook-Id"] == nil {
				return dialect.ErrMissingHeader
			}
			return verify(h, body, s, now)
		}), checkCase, "with header names as in"},
		"a verifier that trims the body": {verifier(func(h http.Header, body []byte, s []dialect.Secret, now time.Time) error {
			return verify(h, bytes.TrimSpace(body), s, now)
		}), checkBodyTampering, "got no error"},
		"a verifier that needs no header": {verifier(func(h http.Header, body []byte, s []dialect.Secret, now time.Time) error {
			if err := verify(h, body, s, now); !errors.Is(err, dialect.ErrMissingHeader) {
				return err
			}
			return nil
		}), checkMissing, "without webhook-id: got no error"},
		"a header that is not there": {func() Case {
			c := standard()
			c.SignedHeaders = []string{"X-None"}
			return c
		}(), checkMissing, "no header X-None"},
		"a verifier with errors of its own": {verifier(func(h http.Header, body []byte, s []dialect.Secret, now time.Time) error {
			if verify(h, body, s, now) != nil {
				return errBroken
			}
			return nil
		}), checkHeaderTampering, "one of the errors of package dialect"},
		"a verifier that passes any secret": {verifier(func(http.Header, []byte, []dialect.Secret, time.Time) error {
			return nil
		}), checkSecrets, "got no error"},
		"a signer that needs no secret": {of(broken{request: func(msg message, to destined, at tried) (request, error) {
			if len(to.Secrets) == 0 {
				return dialect.Request{}, nil
			}
			return dialect.Standard().Request(msg, to, at)
		}}), checkSecrets, "was signed with no secret"},
		"another tolerance": {verifier(func(h http.Header, body []byte, s []dialect.Secret, now time.Time) error {
			return dialect.StandardVerifier(&dialect.StandardOpts{Tolerance: time.Hour}).Verify(h, body, s, now)
		}), checkTimes, "later than that: got no error"},
		"a tolerance that is not declared": {func() Case {
			c := standard()
			c.Tolerance = 0
			return c
		}(), checkTimes, "a year later, without a tolerance"},
		"a request that is remembered by its id": {of(func() dialect.Dialect {
			var mu sync.Mutex
			made := map[string]dialect.Request{}
			return broken{request: func(msg message, to destined, at tried) (request, error) {
				mu.Lock()
				defer mu.Unlock()
				if req, ok := made[msg.ID]; ok {
					return req, nil
				}
				req, err := dialect.Standard().Request(msg, to, at)
				made[msg.ID] = req
				return req, err
			}}
		}()), checkState, "made after another does not verify"},
		"a header that says what came before": {of(func() dialect.Dialect {
			var last atomic.Value
			last.Store("")
			return after(func(req *dialect.Request, _ dialect.Message, _ dialect.Destination, _ dialect.Attempt) {
				req.Header.Set("X-Last", last.Swap(string(req.Body)).(string))
			})
		}()), checkState, "after other calls the same input gave another request"},
		"a failing request, state":  {of(unbuildable), checkState, "Request: broken"},
		"a failing envelope, state": {of(failing), checkState, "Envelope: broken"},
		"a verifier that remembers whom it has accepted": {func() Case {
			var known sync.Map
			return verifier(func(h http.Header, body []byte, s []dialect.Secret, now time.Time) error {
				signature := h.Get("Webhook-Signature")
				if _, ok := known.Load(signature); ok {
					return nil
				}
				err := verify(h, body, s, now)
				if err == nil {
					known.Store(signature, true)
				}
				return err
			})
		}(), checkState, "which passed before"},
		"the oldest secret first": {of(broken{request: func(msg message, to destined, at tried) (request, error) {
			to.Secrets = slices.Clone(to.Secrets)
			slices.Reverse(to.Secrets)
			return dialect.Standard().Request(msg, to, at)
		}}), checkRotation, "must come first"},
		"the newest secret alone": {of(broken{request: func(msg message, to destined, at tried) (request, error) {
			to.Secrets = to.Secrets[:1]
			return dialect.Standard().Request(msg, to, at)
		}}), checkRotation, "old"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, tc.check(tc.c), tc.want)
		})
	}
}

func TestRun_FindsAClock(t *testing.T) {
	t.Parallel()
	now := after(func(req *dialect.Request, _ dialect.Message, _ dialect.Destination, _ dialect.Attempt) {
		req.Header.Set("X-Year", time.Now().Format("2006"))
	})
	require.ErrorContains(t, checkClock(t, of(now)), "at another time")
	require.NoError(t, checkClock(t, standard()))
}

func TestRun_FindsAVerifierThatDoesMoreThanVerify(t *testing.T) {
	t.Parallel()
	verify := dialect.StandardVerifier(nil).Verify
	for name, tc := range map[string]struct {
		c    Case
		want string
	}{
		"a clock": {verifier(func(h http.Header, body []byte, s []dialect.Secret, now time.Time) error {
			if time.Now().Year() < 2020 {
				return dialect.ErrTooNew
			}
			return verify(h, body, s, now)
		}), "with a clock of its own"},
		"a header that it takes out": {verifier(func() func(http.Header, []byte, []dialect.Secret, time.Time) error {
			var mu sync.Mutex
			return func(h http.Header, body []byte, s []dialect.Secret, now time.Time) error {
				mu.Lock()
				defer mu.Unlock()
				h.Del("X-Dialecttest")
				return verify(h, body, s, now)
			}
		}()), "modified its input"},
		"one that works once": {verifier(func() func(http.Header, []byte, []dialect.Secret, time.Time) error {
			var used atomic.Bool
			return func(h http.Header, body []byte, s []dialect.Secret, now time.Time) error {
				if used.Swap(true) {
					return dialect.ErrBadSignature
				}
				return verify(h, body, s, now)
			}
		}()), "bad signature"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, checkVerifier(t, tc.c), tc.want)
		})
	}
	require.NoError(t, checkVerifier(t, standard()))
}

func TestRun_FindsInputAndOutput(t *testing.T) {
	t.Parallel()
	listener := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(listener.Close)
	var once sync.Once
	for name, tc := range map[string]struct {
		do   func() error
		want string
	}{
		"a file": {func() error {
			_, err := os.ReadFile("run_test.go")
			return err
		}, "too many open files"},
		"a file that is read once": {func() (err error) {
			once.Do(func() { _, err = os.ReadFile("run_test.go") })
			return err
		}, "too many open files"},
		"a connection": {func() error {
			resp, err := http.Get(listener.URL) //nolint:forbidigo // what a dialect must not do
			if err == nil {
				err = resp.Body.Close()
			}
			return err
		}, "open"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := broken{request: func(msg message, to destined, at tried) (request, error) {
				if err := tc.do(); err != nil {
					return dialect.Request{}, err
				}
				return dialect.Standard().Request(msg, to, at)
			}}
			require.ErrorContains(t, checkIO(t, of(d)), tc.want)
		})
	}
	t.Run("one that makes another request of it", func(t *testing.T) {
		t.Parallel()
		d := after(func(req *dialect.Request, _ dialect.Message, _ dialect.Destination, _ dialect.Attempt) {
			if _, err := os.ReadDir("."); err == nil {
				req.Header.Set("X-Found", "1")
			}
		})
		require.ErrorContains(t, checkIO(t, of(d)), "another request than otherwise")
	})
	t.Run("that of a verifier", func(t *testing.T) {
		t.Parallel()
		c := verifier(func(h http.Header, body []byte, s []dialect.Secret, now time.Time) error {
			if _, err := os.ReadFile("run_test.go"); err != nil {
				return err
			}
			return dialect.StandardVerifier(nil).Verify(h, body, s, now)
		})
		require.ErrorContains(t, checkIO(t, c), "too many open files")
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, checkIO(t, standard()))
	})
}

func TestRun_AcceptsStandardWithItsDefaults(t *testing.T) {
	t.Parallel()
	t.Run("standard", func(t *testing.T) {
		t.Parallel()
		c := standard()
		c.Secrets = nil
		Run(t, c)
	})
}

func TestRequireRequest_ReportsEachDifference(t *testing.T) {
	t.Parallel()
	want := dialect.Request{
		Method: "POST",
		URL:    "https://a",
		Header: http.Header{"webhook-id": {"1"}, "X-A": {"1"}},
		Body:   []byte("a"),
	}
	got := dialect.Request{
		Method: "PUT",
		URL:    "https://b",
		Header: http.Header{"Webhook-Id": {"1"}, "X-B": {"1"}},
		Body:   []byte("b"),
	}
	require.Len(t, differences(want, got), 5)
	report := strings.Join(differences(want, got), "\n")
	for _, part := range []string{"method", "URL", "header X-A", "header X-B", "body", `want "a"`, `got  "b"`} {
		require.Contains(t, report, part)
	}
	require.NotContains(t, report, "Webhook-Id")
	RequireRequest(t, want, want)

	tb := &fakeTB{TB: t}
	RequireRequest(tb, want, got)
	require.Contains(t, tb.failed, "not as expected")
}

type fakeTB struct {
	testing.TB

	failed string
}

func (f *fakeTB) Helper() {}

func (f *fakeTB) Fatalf(format string, args ...any) { f.failed = fmt.Sprintf(format, args...) }
