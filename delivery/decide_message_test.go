package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// dialects is a registry of "standard" and of signed dialects of these names
// whose body is the bare data.
func (b *bundle) dialects(names ...string) *dialect.Registry {
	b.t.Helper()
	registry, err := dialect.NewRegistry(dialect.Standard())
	require.NoError(b.t, err)
	for _, name := range names {
		d, err := dialect.NewCustom(&dialect.CustomConfig{Envelope: dialect.EnvelopeBare, Name: name})
		require.NoError(b.t, err)
		require.NoError(b.t, registry.Register(d))
	}
	return registry
}

// speak makes the bundle's engines, and who subscribes, know these dialects.
func (b *bundle) speak(names ...string) {
	b.t.Helper()
	b.cfg.Dialects = b.dialects(names...)
	b.subs = b.engine(nil).Subscriptions()
}

// listen subscribes a new receiver in a dialect.
func (b *bundle) listen(name string) (*deliverytest.Receiver, uuid.UUID) {
	b.t.Helper()
	r := b.receiver(nil)
	return r, b.subscribe(r, func(spec *subscription.Spec) { spec.Dialect, spec.Schedule = name, "twice" }).ID
}

// externalize is a registry in which f is for a dialect, "" for any.
func externalize(t *testing.T, name string, f delivery.Externalizer) *delivery.Externalizers {
	t.Helper()
	x := &delivery.Externalizers{}
	require.NoError(t, x.Register(name, "", "", f))
	return x
}

func TestExternalizer_ABrokenOneHoldsUpItsDialectAlone(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	for name, c := range map[string]struct {
		broken func() ([]byte, error)
		reason string
	}{
		"it fails":           {func() ([]byte, error) { return nil, errors.New("no such table") }, "externalizer: no such table"},
		"it panics":          {func() ([]byte, error) { panic("no such table") }, "externalizer: panic: no such table"},
		"it returns junk":    {func() ([]byte, error) { return []byte(`{"a":`), nil }, "externalizer: the data must be valid JSON"},
		"it returns none":    {func() ([]byte, error) { return nil, nil }, "externalizer: the data must be valid JSON"},
		"it returns no text": {func() ([]byte, error) { return []byte("\"\xff\""), nil }, "externalizer: the data must be valid UTF-8"},
		"it returns a well": {
			func() ([]byte, error) { return []byte(strings.Repeat("[", 513) + strings.Repeat("]", 513)), nil },
			"externalizer: the data is nested more than 512 levels deep",
		},
		"it returns a flood": {
			func() ([]byte, error) { return []byte(`"` + strings.Repeat("x", 1999) + `"`), nil },
			"externalizer: the data has 2001 bytes; Config.Limits.RequestBytes allows 2000",
		},
		"it never returns": {
			func() ([]byte, error) { <-hang; return nil, nil },
			"externalizer: no answer within 50ms: context deadline exceeded",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.speak("bare")
			good, _ := b.listen("standard")
			bad, badID := b.listen("bare")
			var repaired atomic.Bool
			b.cfg.Externalize.Timeout, b.cfg.Limits.RequestBytes = 50*time.Millisecond, 2000
			b.cfg.Externalize.Registry = externalize(t, "bare", func(context.Context, dialect.Event) ([]byte, error) {
				if !repaired.Load() {
					return c.broken()
				}
				return []byte(`"whole"`), nil
			})
			engine := b.engine(nil)

			id := b.enqueue(nil)
			b.drain(engine)
			require.Len(t, good.Requests(), 1)
			require.Empty(t, bad.Requests())
			require.Equal(t, [2]string{"waiting", c.reason}, b.decisions(id)[badID])

			repaired.Store(true)
			b.pass(time.Hour)
			b.drain(engine)

			require.Len(t, good.Requests(), 1)
			require.Len(t, bad.Requests(), 1)
			require.Equal(t, `"whole"`, string(bad.Requests()[0].Body))
			require.Equal(t, 1, b.delivery(id, badID).Attempts, "waiting used up no attempt")
		})
	}
}

func TestExternalizer_OneThatKeepsFailingEndsInAFailedDecision(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, subID := b.listen("standard")
	var calls atomic.Int32
	b.cfg.Externalize.Tries = 3
	b.cfg.Externalize.Registry = externalize(t, "", func(context.Context, dialect.Event) ([]byte, error) {
		return nil, fmt.Errorf("broken %d", calls.Add(1))
	})
	engine := b.engine(nil)

	id := b.enqueue(nil)
	b.drain(engine)
	b.pass(time.Hour)
	b.drain(engine)
	require.Equal(t, [2]string{"waiting", "externalizer: broken 2"}, b.decisions(id)[subID])
	for range 3 {
		b.pass(time.Hour)
		b.drain(engine)
	}

	require.Equal(t, [2]string{"failed", "externalizer: broken 3"}, b.decisions(id)[subID])
	require.EqualValues(t, 3, calls.Load())
	require.Empty(t, r.Requests())
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.subscription_health`), "the endpoint is not to blame")
}

func TestExternalizer_AResourceThatIsGoneEndsInADecisionForThatDialect(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.speak("bare")
	snapshot, _ := b.listen("standard")
	gone, goneID := b.listen("bare")
	var calls atomic.Int32
	b.cfg.Externalize.Registry = externalize(t, "bare", func(context.Context, dialect.Event) ([]byte, error) {
		calls.Add(1)
		return nil, fmt.Errorf("user ada: %w", delivery.ErrGone)
	})
	engine := b.engine(nil)

	id := b.enqueue(nil)
	b.drain(engine)
	b.pass(time.Hour)
	b.drain(engine)

	require.Len(t, snapshot.Requests(), 1)
	require.Empty(t, gone.Requests())
	require.Equal(t, [2]string{"gone", "the resource is gone"}, b.decisions(id)[goneID])
	require.EqualValues(t, 1, calls.Load(), "it is final")
}

func TestExternalizer_SeesTheWholeEvent(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, _ := b.listen("standard")
	seen := make(chan dialect.Event, 1)
	b.cfg.Externalize.Registry = externalize(t, "standard", func(_ context.Context, ev dialect.Event) ([]byte, error) {
		seen <- ev
		return []byte(`{"loaded":true}`), nil
	})
	occurred := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

	b.enqueue(func(in *outbox.Intent) {
		in.ID = "ev-1"
		in.ActiveSite = "/usgs"
		in.Actor = "boss"
		in.OccurredAt = occurred
		in.Attributes = map[string]string{"unit": "radar"}
	})
	b.drain(b.engine(nil))

	require.Len(t, seen, 1)
	require.Equal(t, dialect.Event{
		ID:           "ev-1",
		Type:         "user.created",
		Site:         "/noaa/nws/oun",
		ActiveSite:   "/usgs",
		Actor:        "boss",
		ResourceKind: "user",
		ResourceID:   "ada",
		Attributes:   map[string]string{"unit": "radar"},
		Data:         []byte(`{"name":"Ada"}`),
		OccurredAt:   occurred,
	}, <-seen)
	require.Contains(t, string(r.Requests()[0].Body), `"data":{"loaded":true}`)
}

// versions is an externalizer whose answer differs from call to call.
func versions(calls *atomic.Int32) delivery.Externalizer {
	return func(context.Context, dialect.Event) ([]byte, error) {
		return fmt.Appendf(nil, `"v%d"`, calls.Add(1)), nil
	}
}

func TestMessage_ThreeSubscriptionsOfOneDialectShareOneThatNeverChanges(t *testing.T) {
	t.Parallel()
	for _, chunk := range []int{1, 500} {
		t.Run(fmt.Sprintf("in chunks of %d", chunk), func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.speak("bare")
			var receivers []*deliverytest.Receiver
			for range 3 {
				r, _ := b.listen("bare")
				r.Script(deliverytest.Answer{Status: 500})
				receivers = append(receivers, r)
			}
			var calls atomic.Int32
			b.cfg.Limits.ChunkSize = chunk
			b.cfg.Externalize.Registry = externalize(t, "", versions(&calls))
			engine := b.engine(nil)

			b.enqueue(nil)
			b.drain(engine)
			b.pass(time.Hour)
			b.drain(engine)

			require.EqualValues(t, 1, calls.Load())
			for _, r := range receivers {
				require.Len(t, r.Requests(), 2)
				for _, req := range r.Requests() {
					require.Equal(t, `"v1"`, string(req.Body))
				}
			}
		})
	}
}

// The second chunk and a decision of the first chunk that waited meet at one
// dialect: the decision stores its message while the chunk's is being made.
func TestMessage_TheOneThatWasStoredFirstIsSent(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.speak("bare")
	first, _ := b.listen("bare")
	second, _ := b.listen("bare")
	var (
		calls atomic.Int32
		other *delivery.Engine
	)
	b.cfg.Limits.ChunkSize = 1
	b.cfg.Externalize.Registry = externalize(t, "", func(ctx context.Context, _ dialect.Event) ([]byte, error) {
		n := calls.Add(1)
		if n == 1 {
			return nil, errors.New("not yet")
		}
		if n == 2 {
			b.pass(time.Hour)
			if _, err := other.RunDue(ctx); err != nil {
				return nil, err
			}
		}
		return fmt.Appendf(nil, `"v%d"`, n), nil
	})
	other = b.engine(nil)

	b.enqueue(nil)
	b.drain(b.engine(nil))

	require.EqualValues(t, 3, calls.Load())
	require.Equal(t, `"v3"`, string(first.Requests()[0].Body))
	require.Equal(t, `"v3"`, string(second.Requests()[0].Body))
	require.Equal(t, `"v3"`, b.text(`SELECT convert_from(body, 'UTF8') FROM riverhook.message`))
}

func TestMessage_EachDialectHasOneOfItsOwn(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.speak("bare", "other")
	standard, _ := b.listen("standard")
	bare, _ := b.listen("bare")
	other, _ := b.listen("other")
	seven := func(context.Context, dialect.Event) ([]byte, error) { return []byte(`{"id":7}`), nil }
	b.cfg.Externalize.Registry = externalize(t, "other", seven)

	b.enqueue(nil)
	b.drain(b.engine(nil))

	var enveloped struct {
		Type string
		Data json.RawMessage
	}
	require.NoError(t, json.Unmarshal(standard.Requests()[0].Body, &enveloped))
	require.Equal(t, "user.created", enveloped.Type)
	require.Equal(t, `{"name":"Ada"}`, string(enveloped.Data))
	require.Equal(t, `{"name":"Ada"}`, string(bare.Requests()[0].Body))
	require.Equal(t, `{"id":7}`, string(other.Requests()[0].Body))
	require.Equal(t, 3, b.count(`SELECT count(*) FROM riverhook.message`))
}

func TestDialects_OneThatThisProcessLacksWaitsForAProcessThatHasIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.speak("bare")
	good, _ := b.listen("standard")
	r, subID := b.listen("bare")
	without := b.engine(func(cfg *delivery.Config) { cfg.Dialects, cfg.Externalize.Tries = b.dialects(), 2 })

	id := b.enqueue(nil)
	b.drain(without)
	for range 5 { // more often than Externalize.Tries: what is missing is no failure
		b.pass(time.Hour)
		b.drain(without)
	}
	require.Len(t, good.Requests(), 1)
	require.Equal(t, [2]string{"waiting", `no dialect "bare" in the process that tried`}, b.decisions(id)[subID])

	b.pass(time.Hour)
	b.drain(b.engine(nil))

	require.Len(t, r.Requests(), 1)
	require.Equal(t, "delivered", b.delivery(id, subID).State)
}

func TestDialects_ALaterAttemptWaitsForAProcessThatHasItsOwn(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.speak("bare")
	r, subID := b.listen("bare")
	r.Script(deliverytest.Answer{Status: 500})

	id := b.enqueue(nil)
	b.drain(b.engine(nil))
	b.pass(time.Hour)
	b.drain(b.engine(func(cfg *delivery.Config) { cfg.Dialects = b.dialects() }))
	require.Len(t, r.Requests(), 1)
	require.Equal(t, `no dialect "bare" in the process that tried`, b.delivery(id, subID).Reason)
	b.pass(time.Minute)
	b.drain(b.engine(nil))

	require.Len(t, r.Requests(), 2)
	require.Equal(t, 2, b.delivery(id, subID).Attempts)
	require.Equal(t, "delivered", b.delivery(id, subID).State)
}

func TestMessage_DataArrivesByteForByte(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.speak("bare")
	bare, _ := b.listen("bare")
	standard, _ := b.listen("standard")
	for i, data := range []string{
		`{"b":1.0,  "a":"<&>é` + "\u2028" + `", "n":12345678901234567890, "e":1E+2}`,
		"[ 1,\n\t2 ]", `"\u0041\/"`, `null`, ` {}`, `{"twice":1,"twice":2}`,
	} {
		id := b.enqueue(func(in *outbox.Intent) { in.Data = json.RawMessage(data) })
		b.drain(b.engine(nil))

		require.Equal(t, data, string(bare.Requests()[i].Body))
		require.Contains(t, string(received(standard, id)[0].Body), `"data":`+data+`}`)
	}
}

// brokenDialect panics where it is told to.
type brokenDialect struct {
	dialect.Dialect

	envelope, request bool
}

func (d *brokenDialect) Name() string { return "broken" }

func (d *brokenDialect) Envelope(ev dialect.Event, data []byte) (dialect.Message, error) {
	if d.envelope {
		panic("cannot write")
	}
	return d.Dialect.Envelope(ev, data)
}

func (d *brokenDialect) Request(msg dialect.Message, to dialect.Destination, at dialect.Attempt) (dialect.Request, error) {
	if d.request {
		panic("cannot sign")
	}
	return d.Dialect.Request(msg, to, at)
}

func TestDialects_OneThatPanicsHarmsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T, d *brokenDialect) (b *bundle, good, bad *deliverytest.Receiver, badID uuid.UUID) {
		t.Helper()
		b = newBundle(t)
		b.cfg.Dialects = b.dialects()
		d.Dialect = dialect.Standard()
		require.NoError(t, b.cfg.Dialects.Register(d))
		b.subs = b.engine(nil).Subscriptions()
		good, _ = b.listen("standard")
		bad, badID = b.listen("broken")
		return b, good, bad, badID
	}

	t.Run("when it makes the message", func(t *testing.T) {
		t.Parallel()
		b, good, bad, badID := setup(t, &brokenDialect{envelope: true})

		id := b.enqueue(nil)
		b.drain(b.engine(nil))

		require.Len(t, good.Requests(), 1)
		require.Empty(t, bad.Requests())
		require.Equal(t, [2]string{"waiting", "dialect: panic: cannot write"}, b.decisions(id)[badID])
	})

	t.Run("when it builds the request", func(t *testing.T) {
		t.Parallel()
		b, good, bad, badID := setup(t, &brokenDialect{request: true})

		id := b.enqueue(nil)
		b.drain(b.engine(nil))

		require.Len(t, good.Requests(), 1)
		require.Empty(t, bad.Requests())
		d := b.delivery(id, badID)
		require.Equal(t, []string{"failed"}, b.outcomes(d.ID))
		require.Equal(t, "dialect: panic: cannot sign", b.text(`SELECT error FROM riverhook.attempt WHERE delivery_id = $1`, d.ID))
	})
}
