package subscription

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/store"
)

const defaultResealBatch = 100

// ResealOpts are options of Reseal.
type ResealOpts struct {
	// After goes on after a row that an earlier run has come to:
	// ResealResult.Last. Default: from the start.
	After uuid.UUID

	// BatchSize is how many rows are read at once. Default: 100.
	BatchSize int
}

// ResealResult says what Reseal has done.
type ResealResult struct {
	Resealed int       `json:"resealed"` // were sealed anew
	Current  int       `json:"current"`  // were sealed by the key that seals now
	Unopened int       `json:"unopened"` // could not be opened, and were left as they are
	Last     uuid.UUID `json:"last"`     // the last row that was come to
}

// Reseal seals all signing secrets, credentials, sealed headers and TLS settings
// anew that are stored in clear or sealed by another key than that which seals now:
// after seal.Clear has given way to a keyset, and before an old key is dropped. It goes by id in batches, holds no connection while the
// Sealer works, and locks one row at a time for the moment of its update, so that
// it runs beside everything else, secrets being rotated among it. To run it twice,
// or in two processes, does no harm.
//
// A secret that cannot be opened does not keep the others waiting: the error says
// how many there were, and why the first did not open. After any error the result
// says how far it has come. A Sealer that is no seal.Rotating has every secret
// sealed anew by each run. A store in a transaction of the caller's refuses it.
func (s *Store) Reseal(ctx context.Context, opts *ResealOpts) (ResealResult, error) {
	const action = "reseal"
	o := ResealOpts{BatchSize: defaultResealBatch}
	if opts != nil {
		o.After = opts.After
		if opts.BatchSize != 0 {
			o.BatchSize = opts.BatchSize
		}
	}
	result := ResealResult{Last: o.After}
	if s.scope.IsTx() {
		return result, failed(action, errInTx)
	}
	if o.BatchSize < 1 {
		return result, failed(action, fmt.Errorf("BatchSize: is %d; must be at least 1", o.BatchSize))
	}
	var why error
	for {
		rows, err := s.in(s.scope.Pool()).SecretsAfter(ctx, &store.SecretsAfterParams{
			After:   result.Last,
			MaxRows: int64(o.BatchSize),
			Under:   string(s.cfg.RootSite),
		})
		if err != nil {
			return result, failed(action, err)
		}
		for _, row := range rows {
			unopened, err := s.resealOne(ctx, row, &result)
			if err != nil {
				return result, failed(action, fmt.Errorf("secret %s: %w", row.ID, err))
			}
			if unopened != nil && why == nil {
				why = fmt.Errorf("secret %s: %w", row.ID, unopened)
			}
			result.Last = row.ID
		}
		if len(rows) < o.BatchSize {
			break
		}
	}
	if why != nil {
		what := "1 secret"
		if result.Unopened > 1 {
			what = fmt.Sprintf("%d secrets", result.Unopened)
		}
		return result, failed(action, fmt.Errorf("%s could not be opened: %w", what, why))
	}
	return result, nil
}

// resealOne replaces a value by itself, unless it has gone or changed meanwhile.
// An error of the Sealer that opens is its first result.
func (s *Store) resealOne(ctx context.Context, row store.SecretsAfterRow, result *ResealResult) (unopened, err error) {
	stored := sealed.Value{Bytes: row.Value, Sealed: row.Sealed}
	if s.box.IsCurrent(stored) {
		result.Current++
		return nil, nil
	}
	at := sealed.Secret(row.ID, row.SubscriptionID)
	if row.Kind != "" {
		at = sealed.EndpointAuth(row.Kind, row.ID, row.SubscriptionID, row.URL)
	}
	text, err := s.box.Open(ctx, at, stored)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		result.Unopened++
		return err, nil
	}
	fresh, err := s.box.Seal(ctx, at, text)
	if err != nil {
		return nil, err
	}
	var n int64
	if row.Kind != "" {
		n, err = s.in(s.scope.Pool()).ResealEndpointAuth(ctx, &store.ResealEndpointAuthParams{
			ID:     row.ID,
			Former: row.Value,
			Fresh:  fresh.Bytes,
			Sealed: fresh.Sealed,
		})
	} else {
		n, err = s.in(s.scope.Pool()).ResealSecret(ctx, &store.ResealSecretParams{
			ID:     row.ID,
			Former: row.Value,
			Fresh:  fresh.Bytes,
			Sealed: fresh.Sealed,
		})
	}
	result.Resealed += int(n)
	return nil, err
}

var errInTx = errors.New("cannot be done in a transaction of the caller: call it on the store itself")
