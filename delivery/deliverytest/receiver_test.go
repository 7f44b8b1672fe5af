package deliverytest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/egress"
)

// fakeTB records what a kit does to a test.
type fakeTB struct {
	mu       sync.Mutex
	errors   []string
	cleanups []func()
}

func (*fakeTB) Helper() {}

func (f *fakeTB) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }

func (f *fakeTB) Fatalf(format string, args ...any) { f.Errorf(format, args...) }

func (f *fakeTB) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func newClient(t *testing.T, r *deliverytest.Receiver) *http.Client {
	t.Helper()
	client, err := deliverytest.LocalPolicy().Client(&egress.TransportConfig{RootCAs: r.RootCAs()})
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

func post(t *testing.T, client *http.Client, url string, header http.Header, body []byte) (answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	maps.Copy(req.Header, header)
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return answer{
		status: resp.StatusCode,
		header: resp.Header,
		body:   string(got),
	}, err
}

func parsed(t *testing.T, text string) dialect.Secret {
	t.Helper()
	secret, err := dialect.ReadSecret(text)
	require.NoError(t, err)
	return secret
}

// signed is a request that the standard dialect made.
func signed(t *testing.T, secret, url string) dialect.Request {
	t.Helper()
	standard := dialect.Standard()
	message, err := standard.Envelope(dialect.Event{
		ID:         "msg_1",
		Type:       "user.created",
		OccurredAt: time.Now(),
	}, []byte(`{}`))
	require.NoError(t, err)
	req, err := standard.Request(message,
		dialect.Destination{URL: url, Secrets: []dialect.Secret{parsed(t, secret)}}, dialect.Attempt{Number: 1, At: time.Now()})
	require.NoError(t, err)
	return req
}

const (
	secretA = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	secretB = "whsec_YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODk="
)

func TestReceiver_RecordsWhatItWasSent(t *testing.T) {
	t.Parallel()
	r := deliverytest.NewReceiver(t, nil)
	before := time.Now()

	resp, err := post(t, newClient(t, r), r.URL()+"/a?b=c", http.Header{"Webhook-Id": {"msg_1"}}, []byte("{\"x\":1}"))
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, resp.status)

	got, err := r.Wait(t.Context(), 1)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, "msg_1", got[0].ID())
	require.Equal(t, 1, got[0].Number)
	require.Equal(t, http.MethodPost, got[0].Method)
	require.Equal(t, "/a?b=c", got[0].Path)
	require.Equal(t, "HTTP/1.1", got[0].Proto)
	require.JSONEq(t, `{"x":1}`, string(got[0].Body))
	require.False(t, got[0].At.Before(before))
	require.NoError(t, got[0].Err)
	require.NoError(t, r.Err())
}

func TestReceiver_GivesScriptedAnswersInOrderThenTheDefault(t *testing.T) {
	t.Parallel()
	r := deliverytest.NewReceiver(t, &deliverytest.ReceiverConfig{
		Answer: func(req deliverytest.Request) deliverytest.Answer {
			return deliverytest.Answer{Body: []byte(req.Path)}
		},
	})
	r.Script(deliverytest.Answer{Status: 500}, deliverytest.Answer{Status: 429, Header: http.Header{"Retry-After": {"7"}}})
	r.Script(deliverytest.Answer{Delay: time.Millisecond})
	client := newClient(t, r)

	for _, want := range []int{500, 429, 204, 200} {
		resp, err := post(t, client, r.URL()+"/path", nil, nil)
		require.NoError(t, err)
		require.Equal(t, want, resp.status)
		switch want {
		case 429:
			require.Equal(t, "7", resp.header.Get("Retry-After"))
		case 200:
			require.Equal(t, "/path", resp.body)
		}
	}
}

func TestReceiver_GivesAnswersThatAreNotHTTP(t *testing.T) {
	t.Parallel()

	for name, cfg := range map[string]*deliverytest.ReceiverConfig{
		"http": nil, "https": {TLS: true}, "HTTP/2": {TLS: true, HTTP2: true},
	} {
		r := deliverytest.NewReceiver(t, cfg)
		client := newClient(t, r)
		for _, scripted := range []deliverytest.Answer{
			{Close: true}, {Reset: true}, {Raw: []byte("garbage\r\n\r\n")}, {Truncate: true, Body: []byte("{")},
		} {
			r.Script(scripted)
			_, err := post(t, client, r.URL(), nil, []byte("{}"))
			require.Error(t, err, "%s %+v", name, scripted)
		}
		resp, err := post(t, client, r.URL(), nil, []byte("{}"))
		require.NoError(t, err, "the receiver goes on")
		require.Equal(t, 204, resp.status)
	}
}

func TestReceiver_SpeaksTheProtocolThatIsConfigured(t *testing.T) {
	t.Parallel()

	for want, cfg := range map[string]*deliverytest.ReceiverConfig{
		"HTTP/1.1": {TLS: true}, "HTTP/2.0": {TLS: true, HTTP2: true},
	} {
		r := deliverytest.NewReceiver(t, cfg)
		require.True(t, strings.HasPrefix(r.URL(), "https://127.0.0.1:"))
		_, err := post(t, newClient(t, r), r.URL(), nil, nil)
		require.NoError(t, err)
		require.Equal(t, want, r.Requests()[0].Proto)
	}
}

func TestReceiver_AnAnswerThatNeverComesEndsWithIt(t *testing.T) {
	t.Parallel()

	for name, scripted := range map[string]deliverytest.Answer{
		"hang": {Hang: true}, "drip": {Drip: time.Millisecond, Body: []byte("ab")}, "delay": {Delay: time.Hour},
	} {
		r, err := deliverytest.StartReceiver(nil)
		require.NoError(t, err)
		r.Script(scripted)
		failed := make(chan error, 1)
		client := newClient(t, r)
		go func() {
			_, err := post(t, client, r.URL(), nil, []byte("{}"))
			failed <- err
		}()
		_, err = r.Wait(t.Context(), 1)
		require.NoError(t, err)
		r.Close()
		r.Close()
		require.Error(t, <-failed, name)
		require.Len(t, r.Requests(), 1, "what was recorded stays")
	}
}

func TestReceiver_VerifiesASignatureAsSoonAsASecretIsTrusted(t *testing.T) {
	t.Parallel()
	tb := new(fakeTB)
	r := deliverytest.NewReceiver(tb, nil)
	require.Len(t, tb.cleanups, 1)
	t.Cleanup(tb.cleanups[0])
	client := newClient(t, r)
	send := func(req dialect.Request) int {
		resp, err := post(t, client, req.URL, req.Header, req.Body)
		require.NoError(t, err)
		return resp.status
	}

	require.Equal(t, 204, send(dialect.Request{URL: r.URL()}), "nothing to verify with")
	require.NoError(t, r.Trust(parsed(t, secretA)))
	require.Equal(t, 204, send(signed(t, secretA, r.URL())))
	require.Empty(t, tb.errors)
	require.NoError(t, r.Err())

	r.Script(deliverytest.Answer{Status: 299})
	require.Equal(t, 401, send(signed(t, secretB, r.URL())))
	require.Equal(t, 401, send(dialect.Request{URL: r.URL(), Body: []byte("{}")}))
	require.Len(t, tb.errors, 2)
	require.Contains(t, tb.errors[0], `request 3 (webhook-id "msg_1")`)
	require.ErrorIs(t, r.Err(), dialect.ErrBadSignature)
	require.ErrorIs(t, r.Requests()[3].Err, dialect.ErrMissingHeader)

	require.NoError(t, r.Trust(parsed(t, secretB)))
	require.Equal(t, 299, send(signed(t, secretB, r.URL())), "a refused request takes no scripted answer")
	require.Equal(t, 204, send(signed(t, secretA, r.URL())), "the older secret still counts")

	tampered := signed(t, secretA, r.URL())
	tampered.Body = append(bytes.Clone(tampered.Body), ' ')
	require.Equal(t, 401, send(tampered))
}

func TestReceiver_VerifiesSignaturesByAPublicKeyThatItTrusts(t *testing.T) {
	t.Parallel()
	r, err := deliverytest.StartReceiver(nil)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	const private = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	key, err := dialect.ParsePublicKey("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=")
	require.NoError(t, err)
	r.TrustKeys(key)
	for _, secret := range []string{private, secretA} {
		req := signed(t, secret, r.URL())
		_, err := post(t, newClient(t, r), req.URL, req.Header, req.Body)
		require.NoError(t, err)
	}
	got := r.Requests()
	require.NoError(t, got[0].Err)
	require.ErrorIs(t, got[1].Err, dialect.ErrBadSignature)
}

func TestReceiver_ATrustedSecretMustBeOne(t *testing.T) {
	t.Parallel()
	r := deliverytest.NewReceiver(t, nil)
	require.ErrorIs(t, r.Trust(parsed(t, secretA), dialect.Secret{}), dialect.ErrInvalidSecret)

	resp, err := post(t, newClient(t, r), r.URL(), nil, nil)
	require.NoError(t, err)
	require.Equal(t, 204, resp.status, "nothing was trusted")
}

type verifierFunc func(http.Header, []byte, []dialect.Secret, time.Time) error

func (f verifierFunc) Verify(h http.Header, body []byte, secrets []dialect.Secret, now time.Time) error {
	return f(h, body, secrets, now)
}

func TestReceiver_TakesAVerifierAndAClockOfOnesOwn(t *testing.T) {
	t.Parallel()
	clock := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	secret, err := dialect.ParseSecret(secretA)
	require.NoError(t, err)
	r, err := deliverytest.StartReceiver(&deliverytest.ReceiverConfig{
		Now:     func() time.Time { return clock },
		Secrets: []dialect.Secret{secret},
		Verifier: verifierFunc(func(_ http.Header, body []byte, secrets []dialect.Secret, now time.Time) error {
			if len(secrets) == 1 && now.Equal(clock) && string(body) == "good" {
				return nil
			}
			return errors.New("bad")
		}),
	})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	client := newClient(t, r)

	resp, err := post(t, client, r.URL(), nil, []byte("good"))
	require.NoError(t, err)
	require.Equal(t, 204, resp.status)
	resp, err = post(t, client, r.URL(), nil, []byte("evil"))
	require.NoError(t, err)
	require.Equal(t, 401, resp.status)
	require.EqualError(t, r.Err(), "deliverytest: request 2: bad")
}

func TestReceiver_ABodyThatIsTooLongIsAFailure(t *testing.T) {
	t.Parallel()
	tb := new(fakeTB)
	r := deliverytest.NewReceiver(tb, &deliverytest.ReceiverConfig{MaxBody: 4})
	t.Cleanup(tb.cleanups[0])

	_, err := post(t, newClient(t, r), r.URL(), nil, []byte("12345"))
	require.NoError(t, err)
	require.Len(t, tb.errors, 1)
	require.ErrorContains(t, r.Err(), "too large")
}

func TestReceiver_ARequestThatBreaksOffIsNotRecorded(t *testing.T) {
	t.Parallel()
	r := deliverytest.NewReceiver(t, nil)

	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.URL(), "http://"))
	require.NoError(t, err)
	_, err = conn.Write([]byte("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n1234"))
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	_, err = io.ReadAll(conn)
	require.NoError(t, err, "the receiver hung up")
	require.NoError(t, conn.Close())
	require.Empty(t, r.Requests())
}

func TestReceiver_WaitEndsWhenEnoughHasArrived(t *testing.T) {
	t.Parallel()
	r := deliverytest.NewReceiver(t, nil)
	client := newClient(t, r)

	const n = 500
	waited := make(chan int, 3)
	for _, want := range []int{0, 1, n} {
		go func() {
			got, err := r.Wait(context.Background(), want)
			if err != nil {
				waited <- -1
				return
			}
			waited <- len(got) - want
		}()
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range n / 10 {
				_, _ = post(t, client, r.URL(), nil, []byte("{}"))
			}
		})
	}
	wg.Wait()
	for range 3 {
		require.GreaterOrEqual(t, <-waited, 0)
	}
	numbers := make(map[int]bool)
	for i, req := range r.Requests() {
		require.Equal(t, i+1, req.Number)
		numbers[req.Number] = true
	}
	require.Len(t, numbers, n)
}

func TestReceiver_WaitSaysHowManyAreMissing(t *testing.T) {
	t.Parallel()
	r := deliverytest.NewReceiver(t, nil)
	_, err := post(t, newClient(t, r), r.URL(), nil, nil)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := r.Wait(ctx, 2)
	require.Len(t, got, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "1 of 2 requests arrived")

	got, err = r.Wait(ctx, 1)
	require.NoError(t, err, "what has arrived needs no waiting")
	require.Len(t, got, 1)
}

func TestReceiver_ABadConfigurationIsAnErrorThatNamesItsField(t *testing.T) {
	t.Parallel()
	_, err := deliverytest.StartReceiver(&deliverytest.ReceiverConfig{HTTP2: true})
	require.ErrorContains(t, err, "ReceiverConfig.HTTP2")

	tb := new(fakeTB)
	require.Nil(t, deliverytest.NewReceiver(tb, &deliverytest.ReceiverConfig{MaxBody: -1}))
	require.Len(t, tb.errors, 1)
	require.Contains(t, tb.errors[0], "ReceiverConfig.MaxBody")
}

func TestLocalPolicy_OpensLoopbackAndNoOtherPrivateAddress(t *testing.T) {
	t.Parallel()
	policy := deliverytest.LocalPolicy()

	require.NoError(t, policy.CheckURL("http://127.0.0.1:1/"))
	require.NoError(t, policy.CheckURL("https://[::1]:1/"))
	require.ErrorIs(t, policy.CheckURL("http://10.0.0.1/"), egress.ErrBlocked)
	require.ErrorIs(t, policy.CheckURL("http://169.254.169.254/"), egress.ErrBlocked)
}

func BenchmarkReceiver(b *testing.B) {
	r := deliverytest.NewReceiver(b, nil)
	client, err := deliverytest.LocalPolicy().Client(nil)
	require.NoError(b, err)
	defer client.CloseIdleConnections()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, r.URL(), strings.NewReader("{}"))
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
}
