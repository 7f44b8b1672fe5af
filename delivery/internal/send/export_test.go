package send

import (
	"context"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
)

// What tests that need a kit, which imports this package, use of its inside.
var Classify = classify

const SigningUnopened = signingUnopened

func (r *Requester) IsCurrent(ctx context.Context, in *Input) bool { return r.isCurrent(ctx, in) }

func (s *Sender) Attempt(ctx context.Context, by callbacks.JobRef, in *Input, started time.Time) error {
	return s.attempt(ctx, by, in, started)
}
