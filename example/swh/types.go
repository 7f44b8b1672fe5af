package main

import (
	_ "embed"
	"encoding/json"

	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/outbox"
)

const (
	originChange = "origin.change" // the umbrella of the two others
	originCreate = "origin.create"
	originVisit  = "origin.visit"
)

// created is the data of origin.create. Its schema is derived from it.
type created struct {
	Origin string `json:"origin" jsonschema:"where the software is developed"`
}

// visit is the data of origin.visit, whose schemas are written down.
type visit struct {
	Origin string `json:"origin"`
	Number int    `json:"number"`
	At     string `json:"at"`
	Status string `json:"status"`
	Tree   string `json:"tree,omitempty"` // from version 2 on
}

var (
	//go:embed schemas/visit.1.json
	visit1 json.RawMessage
	//go:embed schemas/visit.2.json
	visit2 json.RawMessage
)

// eventTypes are those of a release that knows these versions of visits.
func eventTypes(visits ...json.RawMessage) ([]outbox.EventType, error) {
	schema, err := outbox.SchemaFor[created]()
	create := outbox.EventType{
		Name:        originCreate,
		Description: "An origin is new to the archive.",
		Extends:     []string{originChange},
		Schemas: []outbox.EventSchema{{
			Version: 1,
			Schema:  schema,
			Example: json.RawMessage(`{"origin": "https://example.org/zlib"}`),
		}},
	}
	visit := outbox.EventType{
		Name:        originVisit,
		Description: "The archive has visited an origin.",
		Extends:     []string{originChange},
		Payloads:    event.KeepHash, // there are many
	}
	for i, schema := range visits {
		visit.Schemas = append(visit.Schemas, outbox.EventSchema{Version: i + 1, Schema: schema})
	}
	return []outbox.EventType{create, visit}, err
}
