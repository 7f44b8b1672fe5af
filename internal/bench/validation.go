package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/riverhook/riverhook/internal/jsonschema"
)

// validation measures how long it takes to check an order of 2 KB by the schema of
// its event type, as a client does before it enqueues it: validation_of_unmarshal
// is that, of json.Unmarshal of the same order into maps and slices. Both take
// turns.
func validation(b *bench, r *result) error {
	data, err := orderOf2KB()
	if err != nil {
		return err
	}
	schema, err := jsonschema.Compile([]byte(orderSchema), "")
	if err != nil {
		return err
	}
	times := map[string][]float64{}
	for range of(b.size, 3, 50, 200) {
		for name, do := range map[string]func() error{
			"unmarshal": func() error { var doc any; return json.Unmarshal(data, &doc) },
			"validate":  func() error { return schema.Validate(data) },
		} {
			const repeats = 100
			began := time.Now()
			for range repeats {
				if err := do(); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			times[name] = append(times[name], microseconds(time.Since(began))/repeats)
		}
	}
	for name, all := range times {
		r.figure(name+"_us", median(all))
	}
	r.figure("validated_bytes", float64(len(data)))
	r.ratio("validation_of_unmarshal", medianRatio(times["validate"], times["unmarshal"]))
	return nil
}

// orderOf2KB has texts, numbers, formats, objects and a list, as orders have.
func orderOf2KB() ([]byte, error) {
	const size = 2 << 10
	items := []map[string]any{}
	for {
		items = append(items, map[string]any{
			"sku": fmt.Sprintf("book-%04d", len(items)), "title": "Notes on the Analytical Engine", "count": len(items) + 1, "price": 12.5,
			"tags": []string{"mathematics", "history"},
		})
		data, err := json.Marshal(map[string]any{
			"id": "0198c0de-8a4f-7cc1-b0a4-3f1c5f0e9d11", "status": "paid", "currency": "EUR", "total": 12.5 * float64(len(items)),
			"paid_at": "2026-03-04T05:06:07.891Z", "note": nil, "gift": false, "items": items,
			"customer": map[string]any{
				"name": "Ada Lovelace", "email": "ada@example.com", "address": map[string]any{
					"street": "12 St James's Square", "city": "London", "zip": "SW1Y 4JH", "country": "GB",
				},
			},
		})
		if err != nil || len(data) >= size {
			return data, err
		}
	}
}

// orderSchema says of every place what may be there.
const orderSchema = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"required": ["id", "status", "currency", "total", "items", "customer"],
	"additionalProperties": false,
	"properties": {
		"id": {"type": "string", "format": "uuid"},
		"status": {"enum": ["open", "paid", "sent", "returned"]},
		"currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
		"total": {"type": "number", "minimum": 0},
		"paid_at": {"type": "string", "format": "date-time"},
		"note": {"type": ["string", "null"], "maxLength": 1000},
		"gift": {"type": "boolean"},
		"items": {"type": "array", "minItems": 1, "maxItems": 1000, "items": {"$ref": "#/$defs/item"}},
		"customer": {
			"type": "object",
			"required": ["name", "email"],
			"properties": {
				"name": {"type": "string", "minLength": 1},
				"email": {"type": "string", "format": "email"},
				"address": {
					"type": "object",
					"required": ["city", "country"],
					"properties": {
						"street": {"type": "string"},
						"city": {"type": "string"},
						"zip": {"type": "string", "maxLength": 16},
						"country": {"type": "string", "pattern": "^[A-Z]{2}$"}
					}
				}
			}
		}
	},
	"$defs": {
		"item": {
			"type": "object",
			"required": ["sku", "count", "price"],
			"additionalProperties": false,
			"properties": {
				"sku": {"type": "string", "pattern": "^[a-z]+-[0-9]{4}$"},
				"title": {"type": "string", "maxLength": 200},
				"count": {"type": "integer", "minimum": 1},
				"price": {"type": "number", "exclusiveMinimum": 0},
				"tags": {"type": "array", "uniqueItems": true, "items": {"type": "string"}}
			}
		}
	}
}`
