package delivery

import (
	"cmp"
	"context"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/store"
)

// build has a dialect make the request of an attempt.
func (e *Engine) build(ctx context.Context, d dialect.Dialect, t *target, a *attempt.Attempt) (built dialect.Request, err error) {
	refused := t.By.CallLast(ctx, callbacks.StepDialect(t.Dialect), func() {
		built, err = callbacks.Within(context.WithoutCancel(ctx), callbacks.DialectTimeout,
			func(context.Context) (dialect.Request, error) {
				return d.Request(t.Message,
					dialect.Destination{
						URL:     t.Sub.URL,
						Headers: t.headers(),
						Secrets: t.Secrets,
					},
					dialect.Attempt{Number: a.Number, At: a.StartedAt})
			})
	})
	if err = cmp.Or(refused, err); err == nil {
		err = callbacks.CheckSize("request", len(built.Body), e.cfg.MaxRequestBytes)
	}
	return built, err
}

// attemptCaller is how a run calls host code for an attempt.
func (e *Engine) attemptCaller(by callbacks.JobRef, t *target) *callbacks.Caller {
	return e.calls.Caller(by, t.ID, t.Ended, func(ctx context.Context, text string) (int64, error) {
		return e.store.MarkDelivery(ctx, &store.MarkDeliveryParams{
			ID:        t.ID,
			Seq:       t.Seq,
			EndedRuns: text,
		})
	})
}

// notCalled is what becomes of a delivery whose host code was not called, or whose call
// does not count; nil if err is another one.
func (t *target) notCalled(err error) *attempt.Transition {
	switch {
	case callbacks.IsEnded(err):
		return t.Cancel(err.Error())
	case callbacks.IsStall(err):
		return t.Postpone(stallWait, "its step could not be recorded")
	default:
		return nil
	}
}
