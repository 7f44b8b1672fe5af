package manifest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/riverhook/riverhook/internal/signing"
)

// place is where something stands in a file, from 1.
type place struct{ line, column int }

// places are those of fields.
type places map[string]place

// of is where a field stands, or else the nearest thing that it is a field of.
func (p places) of(field string) place {
	for field != "" {
		if at, ok := p[field]; ok {
			return at
		}
		field = field[:max(strings.LastIndexAny(field, ".["), 0)]
	}
	return place{1, 1}
}

// value is a value of the file, and the field that it is of.
type value struct {
	node *yaml.Node
	path string
}

// kind is that of the value, or of what it is an alias of.
func (v value) kind() yaml.Kind {
	for v.node.Kind == yaml.AliasNode {
		v.node = v.node.Alias
	}
	return v.node.Kind
}

// fields say what reads each field of an object.
type fields map[string]func(value)

// reader reads values into Go, and notes what is wrong with them and where they
// stood.
type reader struct {
	env    func(string) (string, bool)
	errs   Errors
	file   string
	keys   map[string]string // the fields of subscriptions, by key
	places places            // by field
	values int
}

func (r *reader) refuseAtf(at place, field, format string, args ...any) {
	if len(r.errs) < maxErrors {
		r.errs = append(r.errs, &Error{
			File:   r.file,
			Line:   at.line,
			Column: at.column,
			Field:  field,
			Reason: fmt.Sprintf(format, args...),
		})
	}
}

func (r *reader) refusef(v value, format string, args ...any) {
	r.refuseAtf(place{v.node.Line, v.node.Column}, v.path, format, args...)
}

// open follows aliases, and says whether the value can be read as one of its kind.
func (r *reader) open(v *value, kind yaml.Kind, what string) bool {
	if !r.follow(v) {
		return false
	}
	switch {
	case isNull(v.node):
		r.refusef(*v, "has no value; leave it out, or give it one")
	case v.node.Kind != kind:
		r.refusef(*v, "must be %s", what)
	default:
		return true
	}
	return false
}

// follow leads to what an alias stands for. It says whether there is not too much of
// that.
func (r *reader) follow(v *value) bool {
	for v.node.Kind == yaml.AliasNode {
		v.node = v.node.Alias
	}
	r.values++
	if r.values == maxValues+1 {
		r.refusef(*v, "is too much: a file has at most %d values, of aliases each time that they are used", maxValues)
	}
	return r.values <= maxValues
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// entries calls read for each entry of a mapping, in the order of the file, and
// says whether it is one.
func (r *reader) entries(v value, read func(key string, entry value)) bool {
	if !r.open(&v, yaml.MappingNode, "a mapping of names to values") {
		return false
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key, node := v.node.Content[i], v.node.Content[i+1]
		at := place{key.Line, key.Column}
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			r.refuseAtf(at, v.path, "has a key that is not a text")
			continue
		case seen[key.Value]:
			r.refuseAtf(at, join(v.path, key.Value), "is there twice")
			continue
		}
		seen[key.Value] = true
		entry := value{node, join(v.path, key.Value)}
		r.places[entry.path] = at
		if node.Kind == yaml.ScalarNode && !isNull(node) {
			r.places[entry.path] = place{node.Line, node.Column}
		}
		read(key.Value, entry)
	}
	return true
}

// object reads the fields of an object, of which some are required.
func (r *reader) object(v value, known fields, required ...string) {
	given := map[string]bool{}
	ok := r.entries(v, func(name string, field value) {
		given[name] = true
		if read, ok := known[name]; ok {
			read(field)
			return
		}
		r.refuseAtf(r.places[field.path], field.path, "is not known; known are %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	})
	for _, name := range required {
		if ok && !given[name] {
			r.refuseAtf(r.places.of(v.path), join(v.path, name), "is required")
		}
	}
}

// list calls read for each entry of a list.
func (r *reader) list(v value, read func(i int, entry value)) {
	if !r.open(&v, yaml.SequenceNode, "a list") {
		return
	}
	for i, node := range v.node.Content {
		entry := value{node, fmt.Sprintf("%s[%d]", v.path, i)}
		r.places[entry.path] = place{node.Line, node.Column}
		read(i, entry)
	}
}

var plainKey = regexp.MustCompile(`^[\w-]+$`)

func join(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + strconv.QuoteToGraphic(key) + "]"
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

// text reads a text without variables.
func text[T ~string](r *reader, to *T) func(value) {
	return func(v value) {
		if s, ok := r.plain(v); ok {
			*to = T(s)
		}
	}
}

// checked reads a text that check does not refuse.
func checked[T ~string](check func(string) error) func(*reader, *T) func(value) {
	return func(r *reader, to *T) func(value) {
		return func(v value) {
			s, ok := r.plain(v)
			if !ok {
				return
			}
			if err := check(s); err != nil {
				r.refusef(v, "%v", err)
			}
			*to = T(s)
		}
	}
}

// secret reads a text with variables.
func secret[T ~string](r *reader, to *T) func(value) {
	return func(v value) {
		s, ok := r.scalar(v)
		if !ok {
			return
		}
		expanded, err := expand(s, r.env)
		switch {
		case err != nil:
			r.refusef(v, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		case expanded == "":
			r.refusef(v, "is empty")
		default:
			*to = T(expanded)
		}
	}
}

// signingSecret reads a secret as the receiver has it: which texts will do is said by the
// dialect.
func signingSecret(r *reader, to *signing.Secret) func(value) {
	return func(v value) {
		var text string
		secret(r, &text)(v)
		if text == "" {
			return
		}
		read, err := signing.ReadSecret(text)
		if err != nil {
			r.refusef(v, "%s", strings.TrimPrefix(err.Error(), signing.ErrInvalidSecret.Error()+": "))
		}
		*to = read
	}
}

// plain reads a text without variables.
func (r *reader) plain(v value) (string, bool) {
	s, ok := r.scalar(v)
	if ok && hasVariable(s) {
		r.refusef(v, `has "${": variables are for what is secret: secret, secret_headers, credentials and tls`)
		return "", false
	}
	return s, ok
}

// scalar reads a text. What looks like a date is one too: YAML 1.2 has no dates.
func (r *reader) scalar(v value) (string, bool) {
	if !r.open(&v, yaml.ScalarNode, "a text") {
		return "", false
	}
	if v.node.Tag != "!!str" && v.node.Tag != "!!timestamp" {
		r.refusef(v, "must be a text; put it in quotes")
		return "", false
	}
	return v.node.Value, true
}

func texts[T ~string](r *reader, to *[]T, one func(*reader, *T) func(value)) func(value) {
	return func(v value) {
		r.list(v, func(_ int, entry value) {
			var s T
			one(r, &s)(entry)
			*to = append(*to, s)
		})
	}
}

// named reads a mapping of names to texts.
func (r *reader) named(v value, one func(*reader, *string) func(value)) map[string]string {
	all := map[string]string{}
	r.entries(v, func(name string, entry value) {
		var s string
		one(r, &s)(entry)
		all[name] = s
	})
	return all
}

func flag(r *reader, to *bool) func(value) {
	return func(v value) {
		if !r.open(&v, yaml.ScalarNode, "true or false") {
			return
		}
		if v.node.Tag != "!!bool" || v.node.Value != "true" && v.node.Value != "false" {
			r.refusef(v, "must be true or false")
			return
		}
		*to = v.node.Value == "true"
	}
}

var decimal = regexp.MustCompile(`^(0|-?[1-9]\d*)$`)

func number(r *reader, to *int) func(value) {
	return func(v value) {
		if !r.open(&v, yaml.ScalarNode, "a whole number") {
			return
		}
		n, err := strconv.ParseInt(v.node.Value, 10, 32)
		if v.node.Tag != "!!int" || !decimal.MatchString(v.node.Value) || err != nil {
			r.refusef(v, "must be a whole number")
			return
		}
		*to = int(n)
	}
}

var units = regexp.MustCompile(`^(\d+(\.\d+)?(ms|s|m|h))+$`)

func duration(r *reader, to *time.Duration) func(value) {
	return func(v value) {
		s, ok := r.scalar(v)
		if !ok {
			return
		}
		d, err := time.ParseDuration(s)
		if err != nil || !units.MatchString(s) {
			r.refusef(v, `must be a duration such as "10s" or "1m30s"`)
			return
		}
		*to = d
	}
}
