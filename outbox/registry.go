package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/jsonschema"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	registryMaxAge  = 5 * time.Second
	registryTimeout = 5 * time.Second
)

// registry is what a client knows of event types: which there are, at most
// registryMaxAge old, and the schemas that it has used, which never change.
type registry struct {
	pool    *pgxpool.Pool
	schema  string
	strict  bool
	timeout time.Duration
	now     func() time.Time

	current    atomic.Pointer[loadedTypes]
	generation atomic.Int64  // of what this process has changed
	loading    chan struct{} // holds a token while somebody loads; a lock that a context can give up
	schemas    sync.Map      // of *jsonschema.Schema by schemaKey
}

type loadedTypes struct {
	at         time.Time
	generation int64
	types      map[string]store.ListNewestVersionsRow
}

func newRegistry(cfg *Config) *registry {
	return &registry{
		pool:    cfg.Pool,
		schema:  cfg.Schema,
		strict:  cfg.Strict,
		timeout: registryTimeout,
		now:     time.Now,
		loading: make(chan struct{}, 1),
	}
}

// forget has what is known of types loaded again before it is next used.
func (r *registry) forget() { r.generation.Add(1) }

// check judges intents and their encoded data, and writes down in the records by
// which versions they are valid. The error is an [*InvalidIntentError], or is
// [ErrEventTypesUnavailable].
func (r *registry) check(ctx context.Context, in []Intent, records []*record) error {
	types, err := r.load(ctx)
	if err != nil {
		return unavailable(r.schema, err)
	}
	for i := range in {
		bad, err := r.checkOne(ctx, types, &in[i], records[i])
		if err != nil {
			return unavailable(r.schema, err)
		}
		if bad != nil {
			bad.Index = i
			return bad
		}
	}
	return nil
}

func (r *registry) checkOne(
	ctx context.Context, types map[string]store.ListNewestVersionsRow, in *Intent, rec *record,
) (*InvalidIntentError, error) {
	known, ok := types[in.Type]
	switch {
	case !ok && r.strict:
		return refuse("Type", "%q is not registered; register it with EventTypes, or switch Strict off", in.Type), nil
	case known.Archived:
		return refuse("Type", "%q is archived", in.Type), nil
	}
	version := cmp.Or(in.SchemaVersion, known.Newest)
	if version == 0 {
		return nil, nil
	}
	schema, err := r.schemaOf(ctx, schemaKey{in.Type, version})
	if errors.Is(err, pgx.ErrNoRows) {
		return refuse("SchemaVersion", "%d is not registered for the type %q", version, in.Type), nil
	}
	if err != nil {
		return nil, err
	}
	if err := schema.Validate([]byte(rec.Data)); err != nil {
		return refuse("Data", "%v (schema version %d)", err, version), nil
	}
	rec.SchemaVersion = version
	return nil, nil
}

// load returns the types that are registered, from the cache while it is young.
func (r *registry) load(ctx context.Context) (map[string]store.ListNewestVersionsRow, error) {
	if types := r.young(); types != nil {
		return types, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	select {
	case r.loading <- struct{}{}:
		defer func() { <-r.loading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if types := r.young(); types != nil {
		return types, nil
	}
	next := &loadedTypes{
		at:         r.now(),
		generation: r.generation.Load(),
		types:      map[string]store.ListNewestVersionsRow{},
	}
	rows, err := store.In(r.pool, r.schema).ListNewestVersions(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		next.types[row.Name] = row
	}
	r.current.Store(next)
	return next.types, nil
}

// young returns the types of the cache; nil where they are to be loaded.
func (r *registry) young() map[string]store.ListNewestVersionsRow {
	c := r.current.Load()
	if c == nil || c.generation != r.generation.Load() || r.now().Sub(c.at) >= registryMaxAge {
		return nil
	}
	return c.types
}

func (r *registry) schemaOf(ctx context.Context, key schemaKey) (*jsonschema.Schema, error) {
	if schema, ok := r.schemas.Load(key); ok {
		return schema.(*jsonschema.Schema), nil //nolint:forcetypeassert // only schemas are stored
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	row, err := store.In(r.pool, r.schema).GetEventSchema(ctx, &store.GetEventSchemaParams{Type: key.eventType, Version: key.version})
	if err != nil {
		return nil, err
	}
	schema, err := jsonschema.Compile(row.Schema, row.Draft)
	if err != nil {
		return nil, fmt.Errorf("version %d of %s: %w", key.version, key.eventType, err)
	}
	r.schemas.Store(key, schema)
	return schema, nil
}

func unavailable(schema string, err error) error {
	return explained(schema, fmt.Errorf("%w: %w", ErrEventTypesUnavailable, err), "enqueue",
		"SELECT on its tables event_type and event_schema")
}

func checkSchemaVersion(in *Intent) *InvalidIntentError {
	if in.SchemaVersion < 0 || in.SchemaVersion > math.MaxInt32 {
		return refuse("SchemaVersion", "must be from 1 to %d", math.MaxInt32)
	}
	return nil
}
