package manifest

import (
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/outbox"
)

// eventType is one that is to be registered.
type eventType struct {
	archived *bool // nil: as it is
	field    string
	typ      outbox.EventType
}

func (r *reader) eventTypes(v value, m *Manifest) {
	r.entries(v, func(name string, entry value) {
		t := eventType{field: entry.path, typ: outbox.EventType{Name: name}}
		if err := event.CheckType(name); err != nil {
			r.refusef(entry, "%v", err)
		}
		r.object(entry, fields{
			"archived":    func(v value) { t.archived = new(bool); flag(r, t.archived)(v) },
			"description": text(r, &t.typ.Description),
			"extends":     texts(r, &t.typ.Extends, checked[string](event.CheckType)),
			"payload_age": duration(r, &t.typ.PayloadAge),
			"payloads":    text(r, &t.typ.Payloads),
			"schemas":     func(v value) { r.schemas(v, &t.typ) },
		})
		m.eventTypes = append(m.eventTypes, t)
	})
}

func (r *reader) schemas(v value, t *outbox.EventType) {
	seen := map[int]bool{}
	r.list(v, func(_ int, entry value) {
		var s outbox.EventSchema
		r.object(entry, fields{
			"draft":   text(r, &s.Draft),
			"example": document(r, &s.Example),
			"schema":  document(r, &s.Schema),
			"version": number(r, &s.Version),
		}, "schema", "version")
		if seen[s.Version] {
			r.refusef(entry, "version %d is there twice", s.Version)
		}
		seen[s.Version] = true
		t.Schemas = append(t.Schemas, s)
	})
}
