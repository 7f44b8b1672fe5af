package outbox

import (
	"context"
	"maps"
	"slices"

	"github.com/riverhook/riverhook/internal/store"
)

// knownTypes is what is registered: all types, and the schemas of some.
type knownTypes struct {
	schemas map[schemaKey]store.EventSchema
	types   map[string]store.EventType
}

func registered(ctx context.Context, q *store.Queries, of []EventType) (*knownTypes, error) {
	rows, err := q.ListAllEventTypes(ctx)
	if err != nil {
		return nil, err
	}
	known := &knownTypes{schemas: map[schemaKey]store.EventSchema{}, types: make(map[string]store.EventType, len(rows))}
	for _, row := range rows {
		known.types[row.Name] = row
	}
	var names []string
	for i := range of {
		if len(of[i].Schemas) > 0 {
			names = append(names, of[i].Name)
		}
	}
	if len(names) == 0 {
		return known, nil
	}
	schemas, err := q.ListEventSchemas(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, row := range schemas {
		known.schemas[schemaKey{row.Type, row.Version}] = row
	}
	return known, nil
}

// typeChanges are what a registration has to write.
type typeChanges struct {
	patterns map[string][]string
	schemas  []*store.PutEventSchemaParams
	types    []*store.PutEventTypeParams
}

func (k *knownTypes) changes(types []EventType) (*typeChanges, error) {
	c := &typeChanges{}
	for i := range types {
		t := &types[i]
		row, ok := k.types[t.Name]
		if !ok || row.Description != t.Description || !slices.Equal(row.Extends, t.Extends) ||
			row.Payloads != string(t.Payloads) || row.PayloadAgeMs != t.PayloadAge.Milliseconds() {
			c.types = append(c.types, &store.PutEventTypeParams{
				Name:         t.Name,
				Description:  t.Description,
				Extends:      append([]string{}, t.Extends...),
				Payloads:     string(t.Payloads),
				PayloadAgeMs: t.PayloadAge.Milliseconds(),
			})
		}
	}
	var err error
	if c.patterns, err = newPatterns(k.types, types); err != nil {
		return nil, err
	}
	if c.schemas, err = newSchemas(k.schemas, types); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *typeChanges) none() bool { return len(c.types)+len(c.patterns)+len(c.schemas) == 0 }

func (c *typeChanges) write(ctx context.Context, q *store.Queries) error {
	for _, t := range c.types {
		if err := q.PutEventType(ctx, t); err != nil {
			return err
		}
	}
	for name, p := range c.patterns {
		if err := q.SetUmbrellaPatterns(ctx, &store.SetUmbrellaPatternsParams{Name: name, Patterns: p}); err != nil {
			return err
		}
	}
	for _, s := range c.schemas {
		if err := q.PutEventSchema(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// newPatterns returns the umbrella patterns of the types for which they change
// when types are registered: those themselves and all that extend them.
func newPatterns(known map[string]store.EventType, types []EventType) (map[string][]string, error) {
	graph := extensions{}
	for name, row := range known {
		graph[name] = row.Extends
	}
	for _, t := range types {
		graph[t.Name] = t.Extends
	}
	// A cycle has one of the new types in it: it is found and named first.
	names := make([]string, 0, len(graph)+len(types))
	for _, t := range types {
		names = append(names, t.Name)
	}
	names = slices.AppendSeq(names, maps.Keys(graph))

	changed := map[string][]string{}
	for _, name := range names {
		umbrellas, err := graph.umbrellas(name)
		if err != nil {
			return nil, err
		}
		patterns := umbrellaPatterns(umbrellas)
		if row, ok := known[name]; !ok || !slices.Equal(row.UmbrellaPatterns, patterns) {
			changed[name] = patterns
		}
	}
	return changed, nil
}
