package filter

import (
	"bytes"
	"encoding/json"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Event is what expressions see of an intent. It is safe for concurrent use while
// its fields are not changed, and reads its data once, for the first expression
// that looks at it.
type Event struct {
	Type         string
	Site         string
	ActiveSite   string
	ResourceKind string
	ResourceID   string
	Actor        string
	Channel      string
	Attributes   map[string]string
	Data         []byte // JSON; empty is null

	once   sync.Once
	parsed ref.Val
}

func (e *Event) data() ref.Val {
	e.once.Do(func() { e.parsed = parse(e.Data) })
	return e.parsed
}

// parse keeps numbers as they are written: CEL makes ints and doubles of them.
func parse(data []byte) ref.Val {
	if len(data) == 0 {
		return types.NullValue
	}
	if len(data) > maxData {
		return types.WrapErr(errDataSize)
	}
	var parsed any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&parsed); err != nil {
		return types.WrapErr(errDataJSON)
	}
	return valueOf(parsed)
}

// valueOf makes CEL's values of JSON's once: they remember their size.
func valueOf(parsed any) ref.Val {
	adapter := types.DefaultTypeAdapter
	switch v := parsed.(type) {
	case []any:
		values := make([]ref.Val, len(v))
		for i, element := range v {
			values[i] = valueOf(element)
		}
		return types.NewRefValList(adapter, values)
	case map[string]any:
		values := make(map[string]ref.Val, len(v))
		for key, element := range v {
			values[key] = valueOf(element)
		}
		return types.NewMap(adapter, values)
	default:
		return adapter.NativeToValue(v)
	}
}

// activation is an event as CEL asks for it.
type activation struct{ event *Event }

func (a activation) Parent() cel.Activation { return nil }

func (a activation) ResolveName(name string) (any, bool) {
	switch e := a.event; name {
	case "active_site":
		return e.ActiveSite, true
	case "actor":
		return e.Actor, true
	case "attributes":
		return e.Attributes, true
	case "channel":
		return e.Channel, true
	case "data":
		return e.data(), true
	case "resource.id":
		return e.ResourceID, true
	case "resource.kind":
		return e.ResourceKind, true
	case "site":
		return e.Site, true
	case "type":
		return e.Type, true
	default:
		return nil, false
	}
}
