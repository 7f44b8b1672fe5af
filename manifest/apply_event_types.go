package manifest

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/riverhook/riverhook/outbox"
)

const pageOfTypes = 1000

func (r *application) applyEventTypes(ctx context.Context) error {
	if len(r.m.eventTypes) == 0 {
		return nil
	}
	before, err := r.registered(ctx)
	if err != nil {
		return err
	}
	if err := r.register(ctx); err != nil || len(r.errs) > 0 {
		return err
	}
	if err := r.archive(ctx, before); err != nil {
		return err
	}
	after, err := r.registered(ctx)
	if err != nil {
		return err
	}
	for _, t := range r.m.eventTypes {
		c := Change{
			Action: ActionUnchanged,
			Kind:   kindEventType,
			Key:    t.typ.Name,
		}
		old, known := before[t.typ.Name]
		if !known {
			c.Action = ActionAdded
		} else if c.Fields = typeFields(old, after[t.typ.Name]); len(c.Fields) > 0 {
			c.Action = ActionChanged
		}
		r.add(c)
	}
	return nil
}

// register registers all types at once, or else finds what is wrong with each.
func (r *application) register(ctx context.Context) error {
	all := make([]outbox.EventType, len(r.m.eventTypes))
	for i, t := range r.m.eventTypes {
		all[i] = t.typ
	}
	err := r.types.In(r.tx).Register(ctx, all...)
	if !errors.Is(err, outbox.ErrInvalidEventType) {
		return err
	}
	for i, t := range r.m.eventTypes {
		if err := r.types.In(r.tx).Register(ctx, all[i]); err != nil {
			if err := r.refused(t.field, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// archive takes types out of use, or into use again.
func (r *application) archive(ctx context.Context, before map[string]*outbox.EventType) error {
	for _, t := range r.m.eventTypes {
		old, known := before[t.typ.Name]
		if archived := known && old.ArchivedAt != nil; t.archived == nil || *t.archived == archived {
			continue
		}
		change := r.types.In(r.tx).Unarchive
		if *t.archived {
			change = r.types.In(r.tx).Archive
		}
		if err := change(ctx, t.typ.Name); err != nil {
			return err
		}
	}
	return nil
}

// registered returns all types that there are, by name.
func (r *application) registered(ctx context.Context) (map[string]*outbox.EventType, error) {
	all := map[string]*outbox.EventType{}
	opts := outbox.ListEventTypesOpts{IncludeArchived: true, Limit: pageOfTypes}
	for {
		page, err := r.types.In(r.tx).List(ctx, &opts)
		if err != nil {
			return nil, err
		}
		for i := range page.EventTypes {
			all[page.EventTypes[i].Name] = &page.EventTypes[i]
		}
		if opts.Cursor = page.Next; page.Next == "" {
			return all, nil
		}
	}
}

// typeFields says which fields differ.
func typeFields(a, b *outbox.EventType) []string {
	var fields []string
	if (a.ArchivedAt == nil) != (b.ArchivedAt == nil) {
		fields = append(fields, "archived")
	}
	if a.Description != b.Description {
		fields = append(fields, "description")
	}
	if !slices.Equal(a.Extends, b.Extends) {
		fields = append(fields, "extends")
	}
	if a.PayloadAge != b.PayloadAge {
		fields = append(fields, "payload_age")
	}
	if a.Payloads != b.Payloads {
		fields = append(fields, "payloads")
	}
	if !slices.EqualFunc(a.Schemas, b.Schemas, func(a, b outbox.EventSchema) bool {
		return a.Version == b.Version && bytes.Equal(a.Schema, b.Schema) && bytes.Equal(a.Example, b.Example)
	}) {
		fields = append(fields, "schemas")
	}
	return fields
}
