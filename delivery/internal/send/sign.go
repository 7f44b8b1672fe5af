package send

import (
	"cmp"
	"context"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
)

// Sign has a dialect make the request of an attempt, signed by its secrets.
func (r *Requester) Sign(ctx context.Context, d dialect.Dialect, in *Input, a *attempt.Attempt) (built dialect.Request, err error) {
	refused := in.By.CallLast(ctx, callbacks.StepDialect(in.Dialect), func() {
		built, err = callbacks.Within(context.WithoutCancel(ctx), callbacks.DialectTimeout,
			func(context.Context) (dialect.Request, error) {
				return d.Request(in.Message,
					dialect.Destination{
						URL:     in.Sub.URL,
						Headers: in.Headers(),
						Secrets: in.Secrets,
					},
					dialect.Attempt{Number: a.Number, At: r.Clock()})
			})
	})
	if err = cmp.Or(refused, err); err == nil {
		err = callbacks.CheckSize("request", len(built.Body), r.MaxRequestBytes)
	}
	return built, err
}
