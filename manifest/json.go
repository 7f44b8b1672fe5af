package manifest

import (
	"encoding/json"
	"regexp"

	"go.yaml.in/yaml/v4"
)

// document reads what may be anything that JSON has.
func document(r *reader, to *json.RawMessage) func(value) {
	return func(v value) {
		content, ok := r.any(v, 0)
		if !ok {
			return
		}
		text, err := json.Marshal(content)
		if err != nil {
			r.refusef(v, "cannot be written as JSON: %v", err)
			return
		}
		*to = text
	}
}

// jsonNumber is RFC 8259, section 6.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$`)

func (r *reader) any(v value, depth int) (any, bool) {
	if !r.follow(&v) {
		return nil, false
	}
	if depth > maxDepth { // an alias of what it is within, which the parser does not see
		r.refusef(v, "is nested more than %d levels deep", maxDepth)
		return nil, false
	}
	switch v.node.Kind {
	case yaml.MappingNode:
		object, all := map[string]any{}, true
		ok := r.entries(v, func(key string, entry value) {
			one, ok := r.any(entry, depth+1)
			object[key], all = one, all && ok
		})
		return object, ok && all
	case yaml.SequenceNode:
		list, all := []any{}, true
		r.list(v, func(_ int, entry value) {
			one, ok := r.any(entry, depth+1)
			list, all = append(list, one), all && ok
		})
		return list, all && len(list) == len(v.node.Content)
	default:
		return r.anyScalar(v)
	}
}

func (r *reader) anyScalar(v value) (any, bool) {
	text := v.node.Value
	switch tag := v.node.Tag; {
	case tag == "!!null":
		return nil, true
	case tag == "!!str", tag == "!!timestamp":
		return text, true
	case tag == "!!bool" && (text == "true" || text == "false"):
		return text == "true", true
	case (tag == "!!int" || tag == "!!float") && jsonNumber.MatchString(text):
		return json.Number(text), true
	default:
		r.refusef(v, "is nothing that JSON has; put a text in quotes")
		return nil, false
	}
}
