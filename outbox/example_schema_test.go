package outbox_test

import (
	"fmt"

	"github.com/riverhook/riverhook/outbox"
)

func ExampleSchemaFor() {
	type hired struct {
		Email string `json:"email"`
		Age   int    `json:"age,omitempty"`
	}
	schema, err := outbox.SchemaFor[hired]()
	if err != nil {
		panic(err)
	}
	personHired := outbox.EventType{
		Name:    "person.hired",
		Schemas: []outbox.EventSchema{{Version: 1, Schema: schema}},
	}
	fmt.Println(string(personHired.Schemas[0].Schema))
	// Output:
	// {"type":"object","properties":{"email":{"type":"string"},"age":{"type":"integer"}},"required":["email"],"additionalProperties":false}
}
