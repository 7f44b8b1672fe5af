package decide

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/eventtype"
	"github.com/riverhook/riverhook/internal/payload"
)

// ErrGone is the error of an externalizer if the resource no longer exists. Package
// delivery documents it.
var ErrGone = errors.New("delivery: resource is gone")

// Externalize turns the resource of an event into the data of a message.
type Externalize func(ctx context.Context, ev dialect.Event) ([]byte, error)

// Messages makes the messages of events.
type Messages struct {
	Dialects *dialect.Registry
	MaxBytes int           // of the data, and of a message
	Timeout  time.Duration // of one call of an externalizer

	// Externalizer finds the externalizer for an event; nil if its own data is sent.
	Externalizer func(dialectName, resourceKind, eventType string) Externalize

	sizes sizes
}

// failure is why there is no message in a dialect, and what becomes of the decisions that
// need it.
type failure struct {
	outcome Outcome
	reason  string
	cause   attempt.Cause // that is waited for
	counts  bool          // as a try
}

// create makes the message of an event in one dialect.
func (m *Messages) create(
	ctx context.Context, by *callbacks.Caller, ev dialect.Event, name string,
) (dialect.Message, *failure) {
	d, ok := m.Dialects.Get(name)
	if !ok {
		return dialect.Message{}, &failure{
			outcome: OutcomeWaiting,
			reason:  fmt.Sprintf("no dialect %q in the process that tried", name),
			cause:   attempt.Cause{Kind: attempt.CauseDialect, Name: name},
		}
	}
	data, externalized, failed := m.externalize(ctx, by, ev, name)
	if externalized {
		m.remember(keyOf(&ev, name), len(data), failed)
	}
	if failed != nil {
		return dialect.Message{}, failed
	}
	msg, err := Envelope(ctx, by, d, ev, data)
	switch {
	case callbacks.IsEnded(err):
		return dialect.Message{}, &failure{outcome: OutcomeFailed, reason: err.Error()}
	case err != nil:
		return dialect.Message{}, &failure{
			outcome: OutcomeWaiting,
			reason:  callbacks.ReasonDialect + callbacks.Brief(err),
			counts:  true,
		}
	}
	if err := callbacks.CheckSize("message", len(msg.Body), m.MaxBytes); err != nil {
		return dialect.Message{}, &failure{outcome: OutcomeFailed, reason: err.Error()}
	}
	return msg, nil
}

// remember remembers how much an externalizer has made.
func (m *Messages) remember(k sizeKey, bytes int, failed *failure) {
	if failed == nil {
		m.sizes.made(k, bytes)
	} else {
		m.sizes.failed(k, m.MaxBytes)
	}
}

// externalize returns the data of a message: those of the event itself if no externalizer
// is registered, or if the event is one that Riverhook writes itself.
func (m *Messages) externalize(
	ctx context.Context, by *callbacks.Caller, ev dialect.Event, name string,
) (data []byte, externalized bool, failed *failure) {
	var call Externalize
	if !eventtype.IsReserved(ev.Type) {
		call = m.Externalizer(name, ev.ResourceKind, ev.Type)
	}
	if call == nil {
		if err := callbacks.CheckSize("data", len(ev.Data), m.MaxBytes); err != nil {
			return nil, false, &failure{outcome: OutcomeFailed, reason: err.Error()}
		}
		return ev.Data, false, nil
	}
	data, err := callbacks.Do(ctx, by, callbacks.StepExternalizer(name), m.Timeout,
		func(ctx context.Context) ([]byte, error) { return call(ctx, ev) })
	if err == nil {
		err = m.checkData(data)
	}
	switch {
	case err == nil:
		return data, true, nil
	case callbacks.IsEnded(err):
		return nil, true, &failure{outcome: OutcomeFailed, reason: err.Error()}
	case errors.Is(err, ErrGone):
		return nil, true, &failure{outcome: OutcomeGone, reason: "the resource is gone"}
	default:
		return nil, true, &failure{
			outcome: OutcomeWaiting,
			reason:  callbacks.ReasonExternalizer + callbacks.Brief(err),
			counts:  true,
		}
	}
}

// checkData says whether data are what the data of an event may be.
func (m *Messages) checkData(data []byte) error {
	if err := callbacks.CheckSize("data", len(data), m.MaxBytes); err != nil {
		return err
	}
	if err := payload.Check(data); err != nil {
		return fmt.Errorf("the data %w", err)
	}
	return nil
}

// Envelope has a dialect make a message. The end of ctx does not cut it off: it takes no
// time.
func Envelope(
	ctx context.Context, by *callbacks.Caller, d dialect.Dialect, ev dialect.Event, data []byte,
) (msg dialect.Message, err error) {
	refused := by.Call(ctx, callbacks.StepDialect(d.Name()), func() {
		msg, err = callbacks.Within(context.WithoutCancel(ctx), callbacks.DialectTimeout,
			func(context.Context) (dialect.Message, error) { return d.Envelope(ev, data) })
	})
	return msg, cmp.Or(refused, err)
}
