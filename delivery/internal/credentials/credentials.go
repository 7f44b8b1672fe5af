// Package credentials opens what a subscription's requests are signed and
// authenticated with: its signing secrets, and the credentials, headers and TLS
// settings that are stored sealed. It remembers what it has opened, and has the HTTP
// clients for TLS settings.
package credentials

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/ttlcache"
	"github.com/riverhook/riverhook/seal"
)

const (
	// rememberedEndpoints bounds, twice, the subscriptions whose Endpoint stays open in
	// memory.
	rememberedEndpoints = 5000

	// unusedAfter is the age, twice its length at most, at which an Endpoint that no
	// request has used is forgotten and an unused client closed.
	unusedAfter = 5 * time.Minute
)

// ErrChanged means that a subscription was changed after the caller read it.
var ErrChanged = errors.New("its subscription was changed meanwhile")

// Opener opens what is stored sealed. It is safe for concurrent use.
type Opener struct {
	box       *sealed.Box
	endpoints *ttlcache.Cache[uuid.UUID, *Endpoint] // by subscription
	loads     *batch.Group[uuid.UUID, []store.LoadEndpointAuthsRow]
	store     *store.Queries
}

// NewOpener makes an opener, which reads from a database until Close.
func NewOpener(sealer seal.Sealer, queries *store.Queries) *Opener {
	o := &Opener{
		box: sealed.NewBox(sealer),
		endpoints: ttlcache.New(ttlcache.Config[uuid.UUID, *Endpoint]{
			Size: rememberedEndpoints,
			TTL:  unusedAfter,
		}, time.Now()),
		store: queries,
	}
	o.loads = batch.New(batch.Config{Whole: heartbeat.ConcernsAll}, o.load)
	return o
}

// Close ends reading.
func (o *Opener) Close() { o.loads.Close() }

// ForgetUnused forgets what no request has used for long.
func (o *Opener) ForgetUnused(now time.Time) { o.endpoints.Expire(now) }

// open calls the Sealer, unless it remembers the value.
func (o *Opener) open(ctx context.Context, by *callbacks.Caller, at sealed.Location, value sealed.Value) (text []byte, err error) {
	if text, ok := o.box.Recall(at, value); ok {
		return text, nil
	}
	notCalled := by.Call(ctx, callbacks.StepSealer, func() { text, err = o.box.Open(ctx, at, value) })
	return text, cmp.Or(notCalled, err)
}

// digest identifies TLS settings: equal settings share a client.
type digest = [sha256.Size]byte
